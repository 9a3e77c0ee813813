/**
 * Runs of decimal digits between bounds, before a point and behind it. Knows digits; neither signs nor exponents.
 */
import { EMPTY, type Expr, type Expressions, NOTHING } from "../regex/expressions.ts";

/** Digits before the point and after it at most, so that every number is a finite double. */
const WHOLE_DIGITS = 200;
export const FRACTION_DIGITS = 200;

export interface Decimal {
  readonly negative: boolean;
  /** Without leading zeros, but "0". */
  readonly whole: string;
  /** Without trailing zeros. */
  readonly fraction: string;
}

/** The digits of a double, as JSON and JavaScript write it. */
export function decimalOf(value: number): Decimal {
  const [, sign, digits, after = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(
    String(value),
  )!;
  let [whole, fraction] = [digits!, after];
  const shift = Number(exponent);
  if (shift > 0) {
    fraction = fraction.padEnd(shift, "0");
    whole += fraction.slice(0, shift);
    fraction = fraction.slice(shift);
  } else if (shift < 0) {
    whole = whole.padStart(1 - shift, "0");
    fraction = whole.slice(shift) + fraction;
    whole = whole.slice(0, shift);
  }
  return {
    negative: sign === "-",
    whole: whole.replace(/^0+(?=\d)/, ""),
    fraction: fraction.replace(/0+$/, ""),
  };
}

export class DigitExpressions {
  readonly digit: Expr;
  readonly #e: Expressions;

  constructor(expressions: Expressions) {
    this.#e = expressions;
    this.digit = expressions.range(0x30, 0x39);
  }

  char(text: string): Expr {
    return this.#e.range(text.charCodeAt(0), text.charCodeAt(0));
  }

  text(text: string): Expr {
    return this.#e.sequence([...text].map((c) => this.char(c)));
  }

  /** A point with digits behind it, or nothing. */
  fraction(): Expr {
    const e = this.#e;
    return e.optional(e.concat(this.char("."), e.repeat(this.digit, 1, FRACTION_DIGITS)));
  }

  /** Such a fraction of at least `.digits`; `exclusive`: of more. */
  fractionAbove(digits: string, exclusive: boolean): Expr {
    const e = this.#e;
    const any = e.repeat(this.digit, 0, FRACTION_DIGITS);
    const more = e.sequence([e.repeat(this.char("0"), 0, FRACTION_DIGITS), e.range(0x31, 0x39), any]);
    const from = (i: number): Expr => {
      if (i === digits.length) return exclusive ? more : any;
      const digit = digits.charCodeAt(i);
      const above = digit < 0x39 ? e.concat(e.range(digit + 1, 0x39), any) : NOTHING;
      return e.or([above, e.concat(e.range(digit, digit), from(i + 1))]);
    };
    if (digits === "" && !exclusive) return this.fraction();
    return e.concat(this.char("."), from(0));
  }

  /** Such a fraction of `.digits` at most; `exclusive`: of less. */
  fractionBelow(digits: string, exclusive: boolean): Expr {
    const e = this.#e;
    const any = e.repeat(this.digit, 0, FRACTION_DIGITS);
    const zeros = e.repeat(this.char("0"), 0, FRACTION_DIGITS);
    const from = (i: number): Expr => {
      if (i === digits.length) return exclusive ? NOTHING : zeros;
      const digit = digits.charCodeAt(i);
      const below = digit > 0x30 ? e.concat(e.range(0x30, digit - 1), any) : NOTHING;
      // Ending here means zeros from here on, which are less than the digits that are left.
      const end = i > 0 ? EMPTY : NOTHING;
      return e.or([below, end, e.concat(e.range(digit, digit), from(i + 1))]);
    };
    if (digits === "")
      return exclusive ? NOTHING : e.optional(e.sequence([this.char("."), this.char("0"), zeros]));
    return e.optional(e.concat(this.char("."), from(0)));
  }

  /** Digits without leading zeros, from `low` to `high`, or without end. */
  wholeBetween(low: string, high: string | undefined): Expr {
    const e = this.#e;
    const first = e.range(0x31, 0x39);
    const digits = (count: number, most = count): Expr => e.repeat(this.digit, count, most);
    if (high === undefined) {
      const longer = e.concat(first, digits(low.length, WHOLE_DIGITS));
      return e.or([this.#sameLength(low, "9".repeat(low.length)), longer]);
    }
    if (low.length === high.length) return this.#sameLength(low, high);
    const parts = [this.#sameLength(low, "9".repeat(low.length))];
    if (high.length - low.length > 1) parts.push(e.concat(first, digits(low.length, high.length - 2)));
    parts.push(this.#sameLength(`1${"0".repeat(high.length - 1)}`, high));
    return e.or(parts);
  }

  #sameLength(low: string, high: string): Expr {
    const e = this.#e;
    if (low > high) return NOTHING;
    if (low === "") return EMPTY;
    const [a, b] = [low.charCodeAt(0), high.charCodeAt(0)];
    const [restLow, restHigh] = [low.slice(1), high.slice(1)];
    if (a === b) return e.concat(e.range(a, a), this.#sameLength(restLow, restHigh));
    const nines = "9".repeat(restLow.length);
    const zeros = "0".repeat(restLow.length);
    const parts = [
      e.concat(e.range(a, a), this.#sameLength(restLow, nines)),
      e.concat(e.range(b, b), this.#sameLength(zeros, restHigh)),
    ];
    if (b - a > 1)
      parts.push(e.concat(e.range(a + 1, b - 1), e.repeat(this.digit, restLow.length, restLow.length)));
    return e.or(parts);
  }
}
