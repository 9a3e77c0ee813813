/** Where the page begins. */
import { render } from "preact";
import { App } from "./app.tsx";
import "./style/base.css";
import "./style/header.css";

render(<App />, document.getElementById("app")!);
