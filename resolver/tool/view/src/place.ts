// Which view is shown: it stands behind the # of the address, so that it can be kept, sent and gone back to.

import { useEffect, useState } from "preact/hooks";

export type Place =
  | { view: "list"; query: URLSearchParams }
  | { view: "trace"; id: string; span: string | null }
  | { view: "map" };

export function read(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const words = new URLSearchParams(query);
  if (path === "map") return { view: "map" };
  const id = path.match(/^trace\/([0-9a-f]+)$/)?.[1];
  return id ? { view: "trace", id, span: words.get("span") } : { view: "list", query: words };
}

export function usePlace(): Place {
  const [place, setPlace] = useState(() => read(location.hash));
  useEffect(() => {
    const moved = () => setPlace(read(location.hash));
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

export const toList = (words: Record<string, string>) => {
  const query = new URLSearchParams(Object.entries(words).filter(([, value]) => value !== "")).toString();
  return query ? `#/?${query}` : "#/";
};

export const toTrace = (id: string, span?: string) => `#/trace/${id}${span ? `?span=${span}` : ""}`;
