/**
 * JSON numbers between bounds as expressions over their digits. Decimal digits are compared, so that no rounding
 * comes in between. Knows nothing of schemas.
 */
import { EMPTY, type Expr, type Expressions, NOTHING } from "../regex/expressions.ts";

export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

export interface NumberRange {
  readonly lower?: Bound | undefined;
  readonly upper?: Bound | undefined;
}

/** Digits before the point, after it and of an exponent at most, so that every number is a finite double. */
const WHOLE_DIGITS = 200;
const FRACTION_DIGITS = 200;
const EXPONENT_DIGITS = 2;

interface Decimal {
  readonly negative: boolean;
  /** Without leading zeros, but "0". */
  readonly whole: string;
  /** Without trailing zeros. */
  readonly fraction: string;
}

/** The digits of a double, as JSON and JavaScript write it. */
function decimalOf(value: number): Decimal {
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

export class NumberExpressions {
  readonly #e: Expressions;
  readonly #digit: Expr;

  constructor(expressions: Expressions) {
    this.#e = expressions;
    this.#digit = expressions.range(0x30, 0x39);
  }

  /** Integers without sign of zero, exponent or point. */
  integer(range: NumberRange): Expr {
    const e = this.#e;
    const { lower, upper } = range;
    const least = lower && (lower.exclusive ? Math.floor(lower.value) + 1 : Math.ceil(lower.value));
    const most = upper && (upper.exclusive ? Math.ceil(upper.value) - 1 : Math.floor(upper.value));
    if (least !== undefined && most !== undefined && least > most) return NOTHING;
    /** Integers from 0 whose digits are between the two. */
    const between = (low: number, high: number | undefined): Expr => {
      if (high !== undefined && high < low) return NOTHING;
      return this.#wholeBetween(decimalOf(low).whole, high === undefined ? undefined : decimalOf(high).whole);
    };
    const positive = most !== undefined && most < 0 ? NOTHING : between(Math.max(least ?? 0, 0), most);
    const negative =
      least !== undefined && least >= 0
        ? NOTHING
        : between(Math.max(1, -(most ?? -1)), least === undefined ? undefined : -least);
    return e.or([positive, e.concat(this.#char("-"), negative)]);
  }

  /** Any number; with an exponent only where no bound is set. */
  number(range: NumberRange): Expr {
    const e = this.#e;
    if (range.lower === undefined && range.upper === undefined)
      return e.sequence([this.#signed(this.#whole()), this.#fraction(), this.#exponent()]);
    const parts = [this.#plain()];
    if (range.lower !== undefined) parts.push(this.#atLeast(range.lower));
    if (range.upper !== undefined) parts.push(this.#atMost(range.upper));
    return e.and(parts);
  }

  /** Numbers that are no integers. */
  fractional(range: NumberRange): Expr {
    const e = this.#e;
    const zeros = e.repeat(this.#char("0"), 0, FRACTION_DIGITS);
    const digits = e.repeat(this.#digit, 0, FRACTION_DIGITS);
    const fraction = e.sequence([this.#char("."), zeros, e.range(0x31, 0x39), digits]);
    return e.and([e.concat(this.#signed(this.#whole()), fraction), this.#bounded(range)]);
  }

  /** Numbers without an exponent. */
  plain(range: NumberRange): Expr {
    return this.#e.and([this.#plain(), this.#bounded(range)]);
  }

  /** A number without exponent and every way to write it with more zeros. */
  equals(value: number): Expr {
    const { negative, whole, fraction } = decimalOf(value);
    const e = this.#e;
    const zeros = e.repeat(this.#char("0"), 0);
    const rest =
      fraction === ""
        ? e.optional(e.concat(this.#char("."), zeros))
        : e.sequence([this.#text(`.${fraction}`), zeros]);
    const sign = value === 0 ? e.optional(this.#char("-")) : negative ? this.#char("-") : EMPTY;
    return e.sequence([sign, this.#text(whole), rest]);
  }

  /** Multiples of a number, in plain digits with a sign; undefined where it has too many digits. */
  multipleOf(value: number): Expr | undefined {
    const { whole, fraction } = decimalOf(Math.abs(value));
    const divisor = Number(whole + fraction);
    if (!Number.isSafeInteger(divisor * 10) || divisor === 0 || fraction.length > 15) return undefined;
    return this.#signed(this.#e.multiple(divisor, fraction.length));
  }

  #bounded({ lower, upper }: NumberRange): Expr {
    const parts: Expr[] = [];
    if (lower !== undefined) parts.push(this.#atLeast(lower));
    if (upper !== undefined) parts.push(this.#atMost(upper));
    return this.#e.and(parts);
  }

  #char(text: string): Expr {
    return this.#e.range(text.charCodeAt(0), text.charCodeAt(0));
  }

  #text(text: string): Expr {
    return this.#e.sequence([...text].map((c) => this.#char(c)));
  }

  #signed(e: Expr): Expr {
    return this.#e.concat(this.#e.optional(this.#char("-")), e);
  }

  #whole(): Expr {
    return this.#wholeBetween("0", undefined);
  }

  #fraction(): Expr {
    const e = this.#e;
    return e.optional(e.concat(this.#char("."), e.repeat(this.#digit, 1, FRACTION_DIGITS)));
  }

  #exponent(): Expr {
    const e = this.#e;
    const sign = e.optional(e.or([this.#char("+"), this.#char("-")]));
    const letter = e.or([this.#char("e"), this.#char("E")]);
    return e.optional(e.sequence([letter, sign, e.repeat(this.#digit, 1, EXPONENT_DIGITS)]));
  }

  #plain(): Expr {
    return this.#e.concat(this.#signed(this.#whole()), this.#fraction());
  }

  #atLeast(bound: Bound): Expr {
    const e = this.#e;
    const d = decimalOf(bound.value);
    if (d.negative)
      return e.or([this.#above("0", "", false), e.concat(this.#char("-"), this.#below(d, bound.exclusive))]);
    return this.#above(d.whole, d.fraction, bound.exclusive);
  }

  #atMost(bound: Bound): Expr {
    const e = this.#e;
    const d = decimalOf(bound.value);
    if (d.negative) return e.concat(this.#char("-"), this.#above(d.whole, d.fraction, bound.exclusive));
    const zeroIsTooMuch = d.whole === "0" && d.fraction === "" && bound.exclusive;
    const negative = e.concat(this.#char("-"), this.#above("0", "", zeroIsTooMuch));
    return e.or([negative, this.#below(d, bound.exclusive)]);
  }

  /** Numbers without sign from whole.fraction on. */
  #above(whole: string, fraction: string, exclusive: boolean): Expr {
    const e = this.#e;
    const next = (BigInt(whole) + 1n).toString();
    return e.or([
      e.concat(this.#wholeBetween(next, undefined), this.#fraction()),
      e.concat(this.#text(whole), this.#fractionAbove(fraction, exclusive)),
    ]);
  }

  /** Numbers without sign up to whole.fraction. */
  #below({ whole, fraction }: Decimal, exclusive: boolean): Expr {
    const e = this.#e;
    const before = BigInt(whole) - 1n;
    return e.or([
      before < 0n ? NOTHING : e.concat(this.#wholeBetween("0", before.toString()), this.#fraction()),
      e.concat(this.#text(whole), this.#fractionBelow(fraction, exclusive)),
    ]);
  }

  #fractionAbove(digits: string, exclusive: boolean): Expr {
    const e = this.#e;
    const any = e.repeat(this.#digit, 0, FRACTION_DIGITS);
    const more = e.sequence([e.repeat(this.#char("0"), 0, FRACTION_DIGITS), e.range(0x31, 0x39), any]);
    const from = (i: number): Expr => {
      if (i === digits.length) return exclusive ? more : any;
      const digit = digits.charCodeAt(i);
      const above = digit < 0x39 ? e.concat(e.range(digit + 1, 0x39), any) : NOTHING;
      return e.or([above, e.concat(e.range(digit, digit), from(i + 1))]);
    };
    if (digits === "" && !exclusive) return this.#fraction();
    return e.concat(this.#char("."), from(0));
  }

  #fractionBelow(digits: string, exclusive: boolean): Expr {
    const e = this.#e;
    const any = e.repeat(this.#digit, 0, FRACTION_DIGITS);
    const zeros = e.repeat(this.#char("0"), 0, FRACTION_DIGITS);
    const from = (i: number): Expr => {
      if (i === digits.length) return exclusive ? NOTHING : zeros;
      const digit = digits.charCodeAt(i);
      const below = digit > 0x30 ? e.concat(e.range(0x30, digit - 1), any) : NOTHING;
      // Ending here means zeros from here on, which are less than the digits that are left.
      const end = i > 0 ? EMPTY : NOTHING;
      return e.or([below, end, e.concat(e.range(digit, digit), from(i + 1))]);
    };
    if (digits === "")
      return exclusive ? NOTHING : e.optional(e.sequence([this.#char("."), this.#char("0"), zeros]));
    return e.optional(e.concat(this.#char("."), from(0)));
  }

  /** Digits without leading zeros, from `low` to `high`, or without end. */
  #wholeBetween(low: string, high: string | undefined): Expr {
    const e = this.#e;
    const first = e.range(0x31, 0x39);
    const digits = (count: number, most = count): Expr => e.repeat(this.#digit, count, most);
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
      parts.push(e.concat(e.range(a + 1, b - 1), e.repeat(this.#digit, restLow.length, restLow.length)));
    return e.or(parts);
  }
}
