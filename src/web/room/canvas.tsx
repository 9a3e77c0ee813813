/** A canvas that keeps to its place's width and the screen's pixels, and is drawn anew as often as is asked for. */
import { useEffect, useRef } from "preact/hooks";
import { useMedia } from "../parts/media.ts";
import { type Palette, paletteOf } from "./palette.ts";

export interface Sheet {
  readonly context: CanvasRenderingContext2D;
  /** CSS pixels. */
  readonly width: number;
  readonly color: Palette;
  /** Sets the height in CSS pixels, and empties the sheet. */
  begin(height: number): void;
}

interface Props {
  /** What it shows, in words. */
  readonly label: string;
  readonly draw: (sheet: Sheet) => void;
  /** Draws with every frame of the screen; otherwise, and where motion is not wanted, with every render. */
  readonly moving: boolean;
}

export function Canvas({ label, draw, moving }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const latest = useRef(draw);
  latest.current = draw;
  const redraw = useRef(() => {});
  const still = useMedia("(prefers-reduced-motion: reduce)");

  useEffect(() => {
    const div = place.current!;
    const canvas = div.querySelector("canvas")!;
    const context = canvas.getContext("2d")!;
    const { color, stop } = paletteOf(div);
    let width = div.clientWidth;
    const begin = (height: number): void => {
      const scale = devicePixelRatio;
      const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
      if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
        canvas.style.height = `${height}px`;
      }
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, height);
    };
    redraw.current = () => {
      if (width > 0) latest.current({ context, width, color, begin });
    };
    const observer = new ResizeObserver(() => {
      width = div.clientWidth;
      redraw.current();
    });
    observer.observe(div);
    return () => {
      observer.disconnect();
      stop();
      redraw.current = () => {};
    };
  }, []);

  useEffect(() => {
    if (!moving || still) return;
    let next = requestAnimationFrame(function again() {
      redraw.current();
      next = requestAnimationFrame(again);
    });
    return () => cancelAnimationFrame(next);
  }, [moving, still]);

  useEffect(() => {
    if (!moving || still) redraw.current();
  });

  return (
    <div class="sheet" ref={place}>
      <canvas role="img" aria-label={label} />
    </div>
  );
}
