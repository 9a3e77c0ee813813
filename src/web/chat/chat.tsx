/** The chat view. */
export const Chat = () => <main id="main" tabIndex={-1} />;
