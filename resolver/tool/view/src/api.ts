// What the server says, and how it is asked again when something has changed.

import { useEffect, useState } from "preact/hooks";

export interface TraceRow {
  id: string;
  service: string | null;
  name: string | null;
  startMs: number;
  tookNs: number;
  spans: number;
  errors: number;
  error: string | null;
  services: string[];
}

export interface TraceList {
  traces: TraceRow[];
  found: number;
  failed: number;
  all: number;
  spans: number;
  limit: number;
  forgotten: number;
  services: string[];
  topics: string[];
  notShown: string | null;
}

export type Attributes = Record<string, unknown>;

export interface Span {
  id: string;
  depth: number;
  parent: string;
  parentIsMissing: boolean;
  service: string;
  name: string;
  kind: string;
  startNs: number;
  tookNs: number;
  queuedNs: number | null;
  status: string;
  error: string | null;
  attributes: Attributes;
  resource: Attributes;
  scope: string;
  traceState: string;
  events: { name: string; atNs: number }[];
  links: { trace: string; span: string; name: string | null }[];
}

export interface Trace {
  id: string;
  startMs: number;
  tookNs: number;
  spans: Span[];
  all: number;
  forgotten: number;
}

export interface Way {
  service: string;
  topic: string;
  direction: "sends" | "processes";
  count: number;
  errors: number;
  perSecond: number;
  tookP50Ns: number | null;
  tookP99Ns: number | null;
  queuedP50Ns: number | null;
  queuedP99Ns: number | null;
}

export interface ServiceMap {
  services: string[];
  topics: string[];
  ways: Way[];
  seconds: number;
  spans: number;
}

export type Connection = "live" | "paused" | "lost";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A number that grows whenever spans have come, and whether the server still tells. */
export function useVersion(paused: boolean): [number, Connection] {
  const [version, setVersion] = useState(0);
  const [lost, setLost] = useState(false);
  useEffect(() => {
    if (paused) return;
    const ended = new AbortController();
    (async () => {
      let known = -1;
      while (!ended.signal.aborted) {
        try {
          const answer = await fetch(`/api/changes?after=${known}`, { signal: ended.signal });
          known = (await answer.json()).version;
          setVersion(known + 1);
          setLost(false);
          await pause(500);
        } catch {
          if (ended.signal.aborted) return;
          setLost(true);
          known = -1;
          await pause(2000);
        }
      }
    })();
    return () => ended.abort();
  }, [paused]);
  return [version, paused ? "paused" : lost ? "lost" : "live"];
}

/** What the server says at `path`, asked again with each version; null if it is not there, undefined before it is known. */
export function useAnswer<T>(path: string, version: number): T | null | undefined {
  const [answer, setAnswer] = useState<{ path: string; value: T | null }>();
  useEffect(() => {
    const ended = new AbortController();
    (async () => {
      try {
        const answer = await fetch(path, { signal: ended.signal });
        setAnswer({ path, value: answer.ok ? await answer.json() : null });
      } catch {
        // A lost connection is told by `useVersion`; what was shown stays.
      }
    })();
    return () => ended.abort();
  }, [path, version]);
  // While the next answer of a search comes, the last one stays; another trace's does not.
  const sameKind = answer && answer.path.split("?")[0] === path.split("?")[0];
  return sameKind ? answer.value : undefined;
}
