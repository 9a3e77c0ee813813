/** A source that notes how much a parser reads, so that a test can bound what it allocates. */
import { BytesSource } from "../../src/checkpoint/source.ts";

export class WatchedSource extends BytesSource {
  bytesRead = 0;
  closed = false;

  override read(offset: number, length: number): Uint8Array {
    const bytes = super.read(offset, length);
    this.bytesRead += length;
    // A copy, as a file without a memory map gives.
    return bytes.slice();
  }

  override close(): void {
    this.closed = true;
  }
}
