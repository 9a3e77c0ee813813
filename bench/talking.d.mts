export function withTemplate(from: string, to: string): Promise<void>;
