/** A text whose tokens can be pointed at. */
import { type Marked, piecesOf, surprise } from "./marked.ts";

interface Props {
  readonly text: string;
  /** Of the text, within the text that is shown. */
  readonly start: number;
  readonly marked: Marked;
}

export const TokenText = ({ text, start, marked: { spans, offset, first = 0 } }: Props) => (
  <>
    {piecesOf(text, start + offset, spans).map((piece, i) =>
      piece.span === undefined ? (
        piece.text
      ) : (
        <span key={i} class={`t t${surprise(spans[piece.span]!)}`} data-t={first + piece.span}>
          {piece.text}
        </span>
      ),
    )}
  </>
);
