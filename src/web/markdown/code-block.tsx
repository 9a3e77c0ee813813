/** A block of code with its language and a button that copies it. */
import type { ComponentChildren } from "preact";
import { CopyButton } from "../parts/copy-button.tsx";

interface Props {
  readonly text: string;
  readonly language: string | undefined;
  readonly children: ComponentChildren;
}

export const CodeBlock = ({ text, language, children }: Props) => (
  <div class="code">
    <div class="bar">
      <span>{language?.split(/\s/, 1)[0] || "code"}</span>
      <CopyButton text={text} label="Copy code" />
    </div>
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
    <pre tabIndex={0}>
      <code>{children}</code>
    </pre>
  </div>
);
