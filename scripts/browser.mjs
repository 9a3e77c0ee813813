/** Finds a browser of the Chromium family that is installed: FOVEA_BROWSER, or where such browsers usually are. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const names = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "chrome",
  "microsoft-edge",
  "brave-browser",
];
const applications = ["Google Chrome", "Chromium", "Microsoft Edge", "Brave Browser"];
const windows = ["Google\\Chrome\\Application\\chrome.exe", "Microsoft\\Edge\\Application\\msedge.exe"];

function* usualPlaces({ PATH = "", HOME = "", ...env }) {
  if (process.platform === "darwin")
    for (const folder of ["/Applications", join(HOME, "Applications")])
      for (const name of applications) yield join(folder, `${name}.app/Contents/MacOS/${name}`);
  if (process.platform === "win32")
    for (const folder of [env.ProgramFiles, env["ProgramFiles(x86)"], env.LOCALAPPDATA])
      if (folder) for (const path of windows) yield join(folder, path);
  for (const folder of [...PATH.split(delimiter), "/usr/bin", "/snap/bin"])
    if (folder !== "") for (const name of names) yield join(folder, name);
}

/** Undefined where there is none; a FOVEA_BROWSER that is not there is an error. */
export function findBrowser(env = process.env) {
  const { FOVEA_BROWSER: wanted } = env;
  if (!wanted) return [...usualPlaces(env)].find((path) => existsSync(path));
  if (existsSync(wanted)) return wanted;
  throw new Error(
    `FOVEA_BROWSER names "${wanted}", which is not there; name a browser of the Chromium family`,
  );
}
