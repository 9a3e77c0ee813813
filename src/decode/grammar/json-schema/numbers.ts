/**
 * JSON numbers between bounds as expressions over their digits. Decimal digits are compared, so that no rounding
 * comes in between. Knows nothing of schemas.
 */
import { EMPTY, type Expr, type Expressions, NOTHING } from "../regex/expressions.ts";
import { type Decimal, DigitExpressions, decimalOf, FRACTION_DIGITS } from "./digits.ts";

export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

export interface NumberRange {
  readonly lower?: Bound | undefined;
  readonly upper?: Bound | undefined;
}

/** Digits of an exponent at most, so that every number is a finite double. */
const EXPONENT_DIGITS = 2;

export class NumberExpressions {
  readonly #e: Expressions;
  readonly #d: DigitExpressions;

  constructor(expressions: Expressions) {
    this.#e = expressions;
    this.#d = new DigitExpressions(expressions);
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
      return this.#d.wholeBetween(
        decimalOf(low).whole,
        high === undefined ? undefined : decimalOf(high).whole,
      );
    };
    const positive = most !== undefined && most < 0 ? NOTHING : between(Math.max(least ?? 0, 0), most);
    const negative =
      least !== undefined && least >= 0
        ? NOTHING
        : between(Math.max(1, -(most ?? -1)), least === undefined ? undefined : -least);
    return e.or([positive, e.concat(this.#d.char("-"), negative)]);
  }

  /** Any number; with an exponent only where no bound is set. */
  number(range: NumberRange): Expr {
    const e = this.#e;
    if (range.lower === undefined && range.upper === undefined)
      return e.sequence([this.#signed(this.#whole()), this.#d.fraction(), this.#exponent()]);
    return this.plain(range);
  }

  /** Numbers that are no integers. */
  fractional(range: NumberRange): Expr {
    const e = this.#e;
    const zeros = e.repeat(this.#d.char("0"), 0, FRACTION_DIGITS);
    const digits = e.repeat(this.#d.digit, 0, FRACTION_DIGITS);
    const fraction = e.sequence([this.#d.char("."), zeros, e.range(0x31, 0x39), digits]);
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
    const zeros = e.repeat(this.#d.char("0"), 0);
    const rest =
      fraction === ""
        ? e.optional(e.concat(this.#d.char("."), zeros))
        : e.sequence([this.#d.text(`.${fraction}`), zeros]);
    const sign = value === 0 ? e.optional(this.#d.char("-")) : negative ? this.#d.char("-") : EMPTY;
    return e.sequence([sign, this.#d.text(whole), rest]);
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

  #signed(e: Expr): Expr {
    return this.#e.concat(this.#e.optional(this.#d.char("-")), e);
  }

  #whole(): Expr {
    return this.#d.wholeBetween("0", undefined);
  }

  #exponent(): Expr {
    const e = this.#e;
    const sign = e.optional(e.or([this.#d.char("+"), this.#d.char("-")]));
    const letter = e.or([this.#d.char("e"), this.#d.char("E")]);
    return e.optional(e.sequence([letter, sign, e.repeat(this.#d.digit, 1, EXPONENT_DIGITS)]));
  }

  #plain(): Expr {
    return this.#e.concat(this.#signed(this.#whole()), this.#d.fraction());
  }

  #atLeast(bound: Bound): Expr {
    const e = this.#e;
    const d = decimalOf(bound.value);
    if (d.negative)
      return e.or([
        this.#above("0", "", false),
        e.concat(this.#d.char("-"), this.#below(d, bound.exclusive)),
      ]);
    return this.#above(d.whole, d.fraction, bound.exclusive);
  }

  #atMost(bound: Bound): Expr {
    const e = this.#e;
    const d = decimalOf(bound.value);
    if (d.negative) return e.concat(this.#d.char("-"), this.#above(d.whole, d.fraction, bound.exclusive));
    const zeroIsTooMuch = d.whole === "0" && d.fraction === "" && bound.exclusive;
    const negative = e.concat(this.#d.char("-"), this.#above("0", "", zeroIsTooMuch));
    return e.or([negative, this.#below(d, bound.exclusive)]);
  }

  /** Numbers without sign from whole.fraction on. */
  #above(whole: string, fraction: string, exclusive: boolean): Expr {
    const e = this.#e;
    const next = (BigInt(whole) + 1n).toString();
    return e.or([
      e.concat(this.#d.wholeBetween(next, undefined), this.#d.fraction()),
      e.concat(this.#d.text(whole), this.#d.fractionAbove(fraction, exclusive)),
    ]);
  }

  /** Numbers without sign up to whole.fraction. */
  #below({ whole, fraction }: Decimal, exclusive: boolean): Expr {
    const e = this.#e;
    const before = BigInt(whole) - 1n;
    return e.or([
      before < 0n ? NOTHING : e.concat(this.#d.wholeBetween("0", before.toString()), this.#d.fraction()),
      e.concat(this.#d.text(whole), this.#d.fractionBelow(fraction, exclusive)),
    ]);
  }
}
