/** Where the page begins. */
import { render } from "preact";
import { App } from "./app.tsx";
import "./style/base.css";
import "./style/header.css";
import "./style/chat.css";
import "./style/panels.css";
import "./style/list.css";
import "./style/messages.css";
import "./style/failure.css";
import "./style/composer.css";
import "./style/markdown.css";
import "./style/text.css";
import "./style/tokens.css";
import "./style/settings.css";

render(<App />, document.getElementById("app")!);
