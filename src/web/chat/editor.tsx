/**
 * The document. A field for text cannot colour its parts, so the text is drawn beneath it, letter under letter, and the
 * field above has only a caret and a selection. What is drawn also knows its tokens.
 */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { hasMouse } from "../parts/media.ts";
import { memo } from "../parts/memo.ts";
import { usePreference } from "../store/preferences.ts";
import { wholeText } from "../store/text.ts";
import type { Segment } from "../store/types.ts";
import { firstEndingAfter, type Marked, type Span, spansOf, spansOfAnswer } from "../tokens/marked.ts";
import { point } from "../tokens/pointed.ts";
import { TokenText } from "../tokens/token-text.tsx";

interface Props {
  readonly segments: readonly Segment[];
  readonly running: boolean;
  readonly onInput: (text: string) => void;
  readonly onContinue: () => void;
  readonly onUndo: () => void;
  readonly onRedo: () => void;
}

const moves = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

export function Editor({ segments, running, onInput, onContinue, onUndo, onRedo }: Props) {
  const [mode] = usePreference("probabilities");
  const field = useRef<HTMLTextAreaElement>(null);
  const drawn = useRef<HTMLDivElement>(null);
  const spans = useMemo(() => spansOfText(segments), [segments]);
  const shown = mode !== "off";

  useEffect(() => {
    if (hasMouse()) field.current?.focus({ preventScroll: true });
  }, []);
  // What was pointed at may be gone.
  useEffect(() => () => point(undefined), [running]);

  const show = (index: number, byKeys: boolean) => {
    const span = spans[index];
    const element = drawn.current?.querySelector(`[data-t="${index}"]`);
    point(shown && span && element ? { span, element, byKeys } : undefined);
  };
  /** The token before the caret: where one stands after moving over it. */
  const showAtCaret = (byKeys: boolean) => {
    const { selectionStart, selectionEnd } = field.current!;
    const place = selectionStart - 1;
    const index = firstEndingAfter(spans, place);
    const inside = selectionStart === selectionEnd && (spans[index]?.start ?? Infinity) <= place;
    show(inside ? index : -1, byKeys);
  };

  return (
    <div class="editor">
      <div class="drawn" ref={drawn} aria-hidden="true">
        {drawnSegments(segments, shown)}
        {running && <span class="pulse" />}
        {/* A last line that is empty has no height otherwise. */}
        {"\u200b"}
      </div>
      <textarea
        id="text"
        ref={field}
        aria-label="Your text, and the model's continuation"
        aria-busy={running}
        spellcheck={false}
        readOnly={running}
        placeholder="Begin a text here, or pick one above"
        value={wholeText(segments)}
        onInput={(event) => {
          point(undefined);
          onInput(event.currentTarget.value);
        }}
        onPointerMove={(event) => {
          const under = document
            .elementsFromPoint(event.clientX, event.clientY)
            .find((element) => element.hasAttribute("data-t"));
          show(under ? Number(under.getAttribute("data-t")) : -1, false);
        }}
        onPointerLeave={() => point(undefined)}
        onBlur={() => point(undefined)}
        onClick={() => showAtCaret(false)}
        onKeyUp={(event) => moves.includes(event.key) && showAtCaret(true)}
        onKeyDown={(event) => {
          const command = event.ctrlKey || event.metaKey;
          const act =
            command && event.key === "Enter"
              ? onContinue
              : command && event.key.toLowerCase() === "z"
                ? event.shiftKey
                  ? onRedo
                  : onUndo
                : command && event.key.toLowerCase() === "y"
                  ? onRedo
                  : undefined;
          if (act === undefined) return;
          event.preventDefault();
          point(undefined);
          act();
        }}
      />
    </div>
  );
}

function drawnSegments(segments: readonly Segment[], shown: boolean) {
  let first = 0;
  return segments.map((segment, i) => {
    const own = first;
    first += spansOfAnswer(segment).length;
    return <Drawn key={i} segment={segment} first={own} shown={shown} />;
  });
}

interface DrawnProps {
  readonly segment: Segment;
  /** The number of its first token in the whole text. */
  readonly first: number;
  readonly shown: boolean;
}

/** While the model writes only its own segment is drawn again. */
const Drawn = memo(({ segment, first, shown }: DrawnProps) => {
  const marked: Marked = { spans: spansOfAnswer(segment), offset: 0, first };
  return (
    <span class={segment.from}>
      {shown && segment.tokens ? <TokenText text={segment.text} start={0} marked={marked} /> : segment.text}
    </span>
  );
});

/** The tokens of all segments, by their place in the whole text. */
function spansOfText(segments: readonly Segment[]): readonly Span[] {
  let at = 0;
  return segments.flatMap(({ text, tokens = [] }) => {
    const length = tokens.reduce((sum, token) => sum + token.text.length, 0);
    at += text.length;
    return spansOf(tokens, at - length);
  });
}
