/** What has been said, and the answer that is coming: the page's state and how it changes. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type AnswerEvent, chat, complete, type Message, type ModelFacts, type Settings } from "./api.ts";

export interface Turn {
  readonly from: "user" | "model";
  readonly text: string;
  /** How the answer went, once it is complete. */
  readonly note?: string;
}

export interface Conversation {
  readonly turns: readonly Turn[];
  readonly running: boolean;
  readonly error: string | undefined;
  /**
   * Adds what the user wrote (it may be empty where text is continued) and asks for the rest. False when it was
   * refused altogether, and taken back.
   */
  send(text: string): Promise<boolean>;
  stop(): void;
  reset(): void;
}

export function useConversation(model: ModelFacts | undefined, settings: Settings): Conversation {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [running, setRunning] = useState(false);
  const [error, setError] = useState<string>();
  const current = useRef<AbortController>(undefined);
  useEffect(() => () => current.current?.abort(), []);

  const send = async (text: string): Promise<boolean> => {
    if (model === undefined || running) return false;
    const asked: readonly Turn[] = text === "" ? turns : [...turns, { from: "user", text }];
    const controller = new AbortController();
    current.current = controller;
    setTurns([...asked, { from: "model", text: "" }]);
    setError(undefined);
    setRunning(true);
    const answer = new Answer((turn) => {
      if (current.current === controller) setTurns([...asked, turn]);
    });
    try {
      const events = model.chat
        ? chat(asked.map(toMessage), settings, controller.signal)
        : complete(asked.map((turn) => turn.text).join(""), settings, controller.signal);
      for await (const event of events) answer.take(event);
      answer.end();
    } catch (reason) {
      answer.end("stopped");
      if (current.current !== controller) return true;
      setRunning(false);
      if (answer.text === "") setTurns(controller.signal.aborted ? asked : turns);
      if (controller.signal.aborted) return true;
      setError(reason instanceof Error ? reason.message : String(reason));
      return answer.text !== "";
    }
    if (current.current === controller) setRunning(false);
    return true;
  };

  return {
    turns,
    running,
    error,
    send,
    stop: () => current.current?.abort(),
    reset() {
      current.current?.abort();
      current.current = undefined;
      setTurns([]);
      setError(undefined);
      setRunning(false);
    },
  };
}

const toMessage = ({ from, text }: Turn): Message => ({
  role: from === "user" ? "user" : "assistant",
  content: text,
});

/** Gathers an answer, shows it at most once a frame, and times it. */
class Answer {
  text = "";
  readonly #show: (turn: Turn) => void;
  readonly #started = performance.now();
  #first = 0;
  #last = 0;
  #pieces = 0;
  #tokens: number | undefined;
  #reason: string | undefined;
  #frame = 0;

  constructor(show: (turn: Turn) => void) {
    this.#show = show;
  }

  take(event: AnswerEvent): void {
    if (event.kind === "finish") this.#reason = event.reason;
    else if (event.kind === "usage") this.#tokens = event.tokens;
    else this.#append(event.text);
  }

  #append(text: string): void {
    this.#last = performance.now();
    if (this.#pieces++ === 0) this.#first = this.#last;
    this.text += text;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#show({ from: "model", text: this.text });
    });
  }

  end(reason = this.#reason): void {
    cancelAnimationFrame(this.#frame);
    const tokens = this.#tokens ?? this.#pieces;
    const seconds = (this.#last - this.#first) / 1000;
    const facts = [`${tokens} ${tokens === 1 ? "token" : "tokens"}`];
    if (tokens > 1 && seconds > 0) facts.push(`${showRate((tokens - 1) / seconds)} tokens/s`);
    if (this.#pieces > 0) facts.push(`first after ${Math.round(this.#first - this.#started)} ms`);
    if (reason === "length") facts.push("length reached");
    if (reason === "stopped") facts.push("stopped");
    this.#show({ from: "model", text: this.text, note: facts.join(" · ") });
  }
}

const showRate = (rate: number): string => (rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3));
