/** Follows the engine while the view is open and in sight, unless the reader pauses it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Failure } from "../api/failure.ts";
import { follow } from "./feed.ts";
import { History, SAMPLE } from "./history.ts";

export interface Watch {
  readonly history: History;
  readonly paused: boolean;
  readonly failure: Failure | undefined;
  /** Pauses, or goes on. */
  pause(): void;
  /** Begins again after a failure that needed a person. */
  retry(): void;
}

/** Draws anew with each sample, twice a second; what moves more often reads the history by itself. */
export function useWatch(): Watch {
  const { current: history } = useRef(new History());
  const [paused, setPaused] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const [tries, setTries] = useState(0);
  const [, draw] = useState(0);
  const seen = useInSight();
  useEffect(() => {
    if (paused || !seen) return;
    const stop = new AbortController();
    const events = {
      snapshot(snapshot: Parameters<History["begin"]>[0]) {
        setFailure(undefined);
        history.begin(snapshot, performance.now());
      },
      frame: (frame: Parameters<History["add"]>[0]) => history.add(frame, performance.now()),
      failed: setFailure,
    };
    void follow(events, stop.signal);
    const timer = setInterval(() => {
      history.sample(performance.now());
      draw((count) => count + 1);
    }, SAMPLE);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [paused, seen, tries]);
  const pause = () => setPaused((is) => !is);
  return { history, paused, failure, pause, retry: () => setTries((count) => count + 1) };
}

function useInSight(): boolean {
  const [seen, setSeen] = useState(() => document.visibilityState !== "hidden");
  useEffect(() => {
    const look = () => setSeen(document.visibilityState !== "hidden");
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return seen;
}
