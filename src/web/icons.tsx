/** The page's pictures: strokes of one width on a grid of 24, in the colour of the text. Never the only name of a thing. */
import type { ComponentChildren } from "preact";

const Icon = ({ children }: { children: ComponentChildren }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    {children}
  </svg>
);

const stroke = (d: string) => () => (
  <Icon>
    <path d={d} />
  </Icon>
);

export const MenuIcon = stroke("M4 7h16M4 12h16M4 17h16");
export const CloseIcon = stroke("M6 6l12 12M18 6L6 18");
export const PlusIcon = stroke("M12 5v14M5 12h14");
export const PencilIcon = stroke("M4 20l1-4L16 5l3 3L8 19zM14 7l3 3");
export const TrashIcon = stroke("M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5");
export const CopyIcon = stroke("M9 9h11v11H9zM5 15H4V4h11v1");
export const CheckIcon = stroke("M5 12.5l4.5 4.5L19 7.5");
export const AgainIcon = stroke("M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4");
export const OnIcon = stroke("M5 12h13M13 6.5l5.5 5.5-5.5 5.5");
export const LeftIcon = stroke("M14.5 6l-6 6 6 6");
export const RightIcon = stroke("M9.5 6l6 6-6 6");
export const UndoIcon = stroke("M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10h-3");
export const RedoIcon = stroke("M16 5l4 4-4 4M20 9H10a5 5 0 0 0 0 10h3");
export const SendIcon = stroke("M12 19V5M6 11l6-6 6 6");
export const SlidersIcon = stroke(
  "M4 7.5h8M18 7.5h2M4 16.5h2M12 16.5h8M15 4.8a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4zM9 13.8a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4z",
);
export const MoreIcon = stroke("M6 12h.01M12 12h.01M18 12h.01");
export const SystemIcon = stroke("M4 5h16v11H4zM9 20h6M12 16v4");
export const SunIcon = stroke(
  "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M18.4 5.6L17 7M7 17l-1.4 1.4",
);
export const MoonIcon = stroke("M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z");
export const StopIcon = () => (
  <Icon>
    <rect x="7" y="7" width="10" height="10" rx="1.5" class="solid" />
  </Icon>
);
