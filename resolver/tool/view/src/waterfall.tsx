// One trace: its spans below each other, each where it was in time, and all that a span says.

import { useEffect, useRef, useState } from "preact/hooks";

import { type Attributes, type Span, type Trace, useAnswer } from "./api";
import { colour, count, counted, duration, moment, text } from "./format";
import { toTrace } from "./place";

interface Props {
  id: string;
  span: string | null;
  version: number;
  setTitle: (title: string) => void;
}

export function Waterfall({ id, span, version, setTitle }: Props) {
  const trace = useAnswer<Trace>(`/api/trace/${id}`, version);
  const [open, setOpen] = useState<string | null>(span);
  useEffect(() => setOpen(span), [span]);
  const first = trace?.spans[0];
  useEffect(() => setTitle(first ? `${first.service}: ${first.name}` : "Trace"), [first?.service, first?.name]);
  const body = useRef<HTMLTableSectionElement>(null);
  if (trace === undefined) return <p role="status">The trace is read.</p>;
  if (trace === null) return <p role="status">No span of the trace {id} is kept here, or not any more.</p>;
  const whole = Math.max(trace.tookNs, 1);

  /** Up and down, Home and End go from span to span. */
  const move = (event: KeyboardEvent) => {
    const buttons = [...(body.current?.querySelectorAll<HTMLButtonElement>("button.span") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[Math.min(Math.max(to, 0), buttons.length - 1)]?.focus();
  };
  const errors = trace.spans.filter((span) => span.error).length;
  return (
    <>
      <p class="found">
        <code>{trace.id}</code>, began {moment(trace.startMs)}, took {duration(trace.tookNs)},{" "}
        {counted(trace.all, "span")}
        {errors > 0 && <>, <strong class="error">{counted(errors, "error")}</strong></>}.
        {trace.all > trace.spans.length && ` The first ${count(trace.spans.length)} are shown.`}
        {trace.forgotten > 0 && ` ${counted(trace.forgotten, "older span")} of it went to make room.`}
      </p>
      <div class="scrolls" role="region" aria-label="Spans" tabIndex={0}>
        <table class="waterfall">
          <thead>
            <tr>
              <th scope="col">Span</th>
              <th scope="col" class="number">Began</th>
              <th scope="col" class="number">Duration</th>
              <th scope="col" class="number">In queue</th>
              <th scope="col" class="axis" aria-hidden="true">
                {[0, 0.25, 0.5, 0.75].map((part) => (
                  <span key={part} style={{ left: `${part * 100}%` }}>{duration(Math.round(part * trace.tookNs))}</span>
                ))}
              </th>
            </tr>
          </thead>
          <tbody ref={body} onKeyDown={move}>
            {trace.spans.map((span) => (
              <Row
                key={span.id}
                span={span}
                trace={trace}
                whole={whole}
                isOpen={open === span.id}
                toggle={() => setOpen(open === span.id ? null : span.id)}
              />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

interface RowProps {
  span: Span;
  trace: Trace;
  whole: number;
  isOpen: boolean;
  toggle: () => void;
}

function Row({ span, trace, whole, isOpen, toggle }: RowProps) {
  const share = (ns: number) => `${Math.min(100, Math.max(0, (ns / whole) * 100))}%`;
  const details = `details-${span.id}`;
  return (
    <>
      <tr class={span.error ? "failed" : ""}>
        <td>
          <button
            type="button"
            class={`span colour-${colour(span.service)}`}
            style={{ marginInlineStart: `${Math.min(span.depth, 20) * 1.1}rem` }}
            aria-expanded={isOpen}
            aria-controls={isOpen ? details : undefined}
            onClick={toggle}
          >
            <span class="hidden">level {span.depth + 1}, </span>
            <b>{span.service}</b> {span.name}
            {span.parentIsMissing && <i> (its parent is not here)</i>}
          </button>
          {span.error && <span class="error">{span.error}</span>}
        </td>
        <td class="number">{duration(span.startNs)}</td>
        <td class="number">{duration(span.tookNs)}</td>
        <td class="number">{span.queuedNs === null ? "" : duration(span.queuedNs)}</td>
        <td class="lane" aria-hidden="true">
          {span.queuedNs !== null && (
            <span
              class="queued"
              style={{ left: share(span.startNs - span.queuedNs), width: share(Math.min(span.queuedNs, span.startNs)) }}
            />
          )}
          <span
            class={`bar colour-${colour(span.service)}${span.error ? " failed" : ""}`}
            style={{ left: share(span.startNs), width: share(span.tookNs) }}
          />
        </td>
      </tr>
      {isOpen && (
        <tr class="details" id={details}>
          <td colSpan={5}><Details span={span} trace={trace} /></td>
        </tr>
      )}
    </>
  );
}

function Details({ span, trace }: { span: Span; trace: Trace }) {
  const facts: Attributes = {
    span: span.id,
    ...(span.parent && { parent: span.parent }),
    ...(span.kind && { kind: span.kind }),
    status: span.error ?? span.status,
    ...(span.scope && { scope: span.scope }),
    ...(span.traceState && { "trace state": span.traceState }),
  };
  return (
    <div class="facts">
      <Pairs title="Span" pairs={facts} />
      <Pairs title="Attributes" pairs={span.attributes} />
      <Pairs title="Resource" pairs={span.resource} />
      {span.links.length > 0 && (
        <section>
          <h2>Links</h2>
          <ul>
            {span.links.map((link) => (
              <li key={link.span}>
                {link.name === null
                  ? <>span <code>{link.span}</code> of trace <code>{link.trace}</code>, which is not here</>
                  : <a href={toTrace(link.trace, link.span)}>{link.name}{link.trace !== trace.id && " (another trace)"}</a>}
              </li>
            ))}
          </ul>
        </section>
      )}
      {span.events.length > 0 && (
        <section>
          <h2>Events</h2>
          <ul>{span.events.map((event, nth) => <li key={nth}>{event.name} at {duration(event.atNs)}</li>)}</ul>
        </section>
      )}
    </div>
  );
}

function Pairs({ title, pairs }: { title: string; pairs: Attributes }) {
  const entries = Object.entries(pairs);
  if (entries.length === 0) return null;
  return (
    <section>
      <h2>{title}</h2>
      <dl>
        {entries.map(([key, value]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>{text(value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
