// The list of traces, with a search: those with errors first, then the newest.

import { useEffect, useRef, useState } from "preact/hooks";

import { type TraceList, useAnswer } from "./api";
import { colour, count, counted, duration, moment } from "./format";
import { read, toList, toTrace } from "./place";

interface Props {
  query: URLSearchParams;
  version: number;
  setTitle: (title: string) => void;
}

export function List({ query, version, setTitle }: Props) {
  const of = (key: string) => query.get(key) ?? "";
  const words = { text: of("text"), service: of("service"), topic: of("topic"), errors: of("errors") };
  // What is typed counts until it stands in the address, or another search does.
  const [typed, setTyped] = useState<{ text: string; after: string }>();
  const text = typed?.after === words.text ? typed.text : words.text;
  const soon = useRef<ReturnType<typeof setTimeout>>(undefined);
  // Of what the address says now: a search that was typed before may be entered there after another choice.
  const address = () => {
    const place = read(location.hash);
    return place.view === "list" ? place.query : undefined;
  };
  const go = (change: Partial<typeof words>) => {
    clearTimeout(soon.current);
    const query = address();
    if (!query) return;
    setTyped(undefined);
    history.replaceState(null, "", toList({ ...Object.fromEntries(query), ...change }));
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const type = (text: string) => {
    const after = address()?.get("text") ?? "";
    setTyped({ text, after });
    clearTimeout(soon.current);
    soon.current = setTimeout(() => (address()?.get("text") ?? "") === after && go({ text }), 200);
  };
  useEffect(() => setTitle("Traces"), []);
  useEffect(() => () => clearTimeout(soon.current), []);
  const list = useAnswer<TraceList>(`/api/traces?${new URLSearchParams(words)}`, version);
  // In the order of their names, so that each has its colour before a trace shows some of them.
  list?.services.forEach(colour);
  const choose = (key: "service" | "topic", label: string, values: string[] = []) => (
    <label>
      {label}
      <select value={words[key]} onChange={(event) => go({ text, [key]: event.currentTarget.value })}>
        <option value="">all</option>
        {[...new Set([...values, ...(words[key] ? [words[key]] : [])])].map((value) => (
          <option key={value} value={value} selected={value === words[key]}>{value}</option>
        ))}
      </select>
    </label>
  );
  return (
    <>
      <form role="search" onSubmit={(event) => { event.preventDefault(); go({ text }); }}>
        <label class="wide">
          Search
          <input
            type="search"
            value={text}
            placeholder="a name, an id, a value, or key=value"
            onInput={(event) => type(event.currentTarget.value)}
          />
        </label>
        {choose("service", "Service", list?.services)}
        {choose("topic", "Topic", list?.topics)}
        <label class="check">
          <input
            type="checkbox"
            checked={words.errors === "1"}
            onChange={(event) => go({ text, errors: event.currentTarget.checked ? "1" : "" })}
          />
          Errors only
        </label>
      </form>
      {list && <Found list={list} />}
      {list && list.traces.length > 0 && (
        <div class="scrolls" role="region" aria-label="Traces" tabIndex={0}>
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Trace</th>
                <th scope="col">Errors</th>
                <th scope="col" class="number">Duration</th>
                <th scope="col" class="number">Spans</th>
                <th scope="col">Services</th>
                <th scope="col">Began</th>
              </tr>
            </thead>
            <tbody>
              {list.traces.map((trace) => (
                <tr key={trace.id} class={trace.errors ? "failed" : ""}>
                  <td>
                    <a href={toTrace(trace.id)}>{trace.service}: {trace.name}</a> <code>{trace.id.slice(0, 8)}</code>
                  </td>
                  <td>{trace.errors > 0 && <span class="error">{trace.errors === 1 ? "" : `${count(trace.errors)} × `}{trace.error}</span>}</td>
                  <td class="number">{duration(trace.tookNs)}</td>
                  <td class="number">{count(trace.spans)}</td>
                  <td>
                    {trace.services.map((service) => (
                      <span key={service} class={`service colour-${colour(service)}`}>{service}</span>
                    ))}
                  </td>
                  <td class="time">{moment(trace.startMs)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function Found({ list }: { list: TraceList }) {
  const more = list.found - list.traces.length;
  const found = list.found === list.all ? counted(list.all, "trace") : `${count(list.found)} of ${counted(list.all, "trace")}`;
  return (
    <>
      <p class="found" role="status">
        {list.all === 0
          ? "Nothing has come yet."
          : `${found}, ${count(list.failed)} with errors${more > 0 ? `; the first ${count(list.traces.length)} are shown` : ""}.`}
      </p>
      <p class="kept">
        {counted(list.spans, "span")} of at most {count(list.limit)} kept
        {list.forgotten > 0 && `; ${count(list.forgotten)} older gone`}.
        {list.notShown && <strong> {list.notShown[0]!.toUpperCase() + list.notShown.slice(1)}.</strong>}
      </p>
    </>
  );
}
