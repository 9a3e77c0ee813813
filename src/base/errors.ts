/**
 * The errors that Fovea raises on purpose. Each names what was wrong and says what to do about it;
 * anything else that is thrown is a bug of ours.
 */

export class FoveaError extends Error {
  override name = "FoveaError";
}

/** A checkpoint, tokenizer or config file is broken or hostile. */
export class CheckpointError extends FoveaError {
  override name = "CheckpointError";
  readonly file: string;
  /** Field or tensor name, where one is at fault. */
  readonly field: string | undefined;
  /** Byte offset in the file, where one is known. */
  readonly offset: number | undefined;

  constructor(
    file: string,
    problem: string,
    where: { field?: string; offset?: number; cause?: unknown } = {},
  ) {
    const field = where.field === undefined ? "" : `, field "${where.field}"`;
    const offset = where.offset === undefined ? "" : `, at byte ${where.offset}`;
    super(`${file}${field}${offset}: ${problem}`, where.cause === undefined ? {} : { cause: where.cause });
    this.file = file;
    this.field = where.field;
    this.offset = where.offset;
  }
}

/** A parameter that a user gave (option, flag, request field) has a value that cannot be used. */
export class ParameterError extends FoveaError {
  override name = "ParameterError";
  readonly parameter: string;
  /** The message without the parameter's name. */
  readonly problem: string;

  constructor(parameter: string, problem: string) {
    super(`${parameter}: ${problem}`);
    this.parameter = parameter;
    this.problem = problem;
  }
}

/** An op was made with tensors or numbers that do not fit together. */
export class OpError extends FoveaError {
  override name = "OpError";
  readonly op: string;

  constructor(op: string, problem: string) {
    super(`${op}: ${problem}`);
    this.op = op;
  }
}

/** A device cannot be opened, is closed, or failed while it ran. */
export class DeviceError extends FoveaError {
  override name = "DeviceError";
  readonly device: string;

  constructor(device: string, problem: string, cause?: unknown) {
    super(`${device}: ${problem}`, cause === undefined ? {} : { cause });
    this.device = device;
  }
}
