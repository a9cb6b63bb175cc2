// The frame of the page: where one can go, and whether what is shown is live.

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useVersion } from "./api";
import { List } from "./list";
import { MapOfServices } from "./map";
import { usePlace } from "./place";
import { Waterfall } from "./waterfall";

const SAID = { live: "Live", paused: "Paused", lost: "No answer from the command: trying again" };

function App() {
  const place = usePlace();
  const [paused, setPaused] = useState(false);
  const [version, connection] = useVersion(paused);
  const [title, setTitle] = useState("Traces");
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = place.view === "trace" ? place.id : place.view;
  const first = useRef(true);
  useEffect(() => {
    // Whoever goes to another view by keyboard or screen reader begins at its heading.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [shown]);
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); heading.current?.focus(); }}>
        Skip to the content
      </a>
      <header>
        <nav aria-label="Views">
          <a href="#/" aria-current={place.view === "list" ? "page" : undefined}>Traces</a>
          <a href="#/map" aria-current={place.view === "map" ? "page" : undefined}>Map</a>
        </nav>
        <p class={`connection ${connection}`} role="status">{SAID[connection]}</p>
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>Pause</button>
      </header>
      <main id="main">
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        {place.view === "list" && <List query={place.query} version={version} setTitle={setTitle} />}
        {place.view === "trace" && (
          <Waterfall key={place.id} id={place.id} span={place.span} version={version} setTitle={setTitle} />
        )}
        {place.view === "map" && <MapOfServices version={version} setTitle={setTitle} />}
      </main>
    </>
  );
}

render(<App />, document.getElementById("app")!);
