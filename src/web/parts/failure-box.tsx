/** What went wrong, whole and where it happened, with what can be done about it. */
import type { Failure } from "../api/failure.ts";
import { AgainIcon } from "../icons.tsx";
import { KeyForm } from "./key-form.tsx";

interface Props {
  readonly failure: Failure;
  readonly onRetry: (() => void) | undefined;
}

export function FailureBox({ failure, onRetry }: Props) {
  const { message, status, code, param, requestId, retryAfter } = failure;
  const facts = [
    status && `status ${status}`,
    code && `code ${code}`,
    param && `field ${param}`,
    requestId && `request ${requestId}`,
    retryAfter !== undefined && `try again in ${retryAfter} s`,
  ].filter((fact) => typeof fact === "string");
  return (
    <div class="failure" role="alert">
      <p>{message}</p>
      {facts.length > 0 && <p class="quiet">{facts.join(" · ")}</p>}
      {status === 401 && <KeyForm onEntered={onRetry} />}
      {onRetry && status !== 401 && (
        <button type="button" class="button" onClick={onRetry}>
          <AgainIcon /> Retry
        </button>
      )}
    </div>
  );
}
