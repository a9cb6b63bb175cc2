// The map of services and topics: a picture, and below it the same in a table.

import dagre from "@dagrejs/dagre";
import { useEffect, useMemo } from "preact/hooks";

import { type ServiceMap, type Way, useAnswer } from "./api";
import { colour, count, duration, rate } from "./format";
import { toList } from "./place";

interface Props {
  version: number;
  setTitle: (title: string) => void;
}

export function MapOfServices({ version, setTitle }: Props) {
  useEffect(() => setTitle("Services and topics"), []);
  const map = useAnswer<ServiceMap>("/api/map", version);
  if (!map) return <p role="status">The map is drawn.</p>;
  if (map.services.length === 0) return <p role="status">Nothing has come yet.</p>;
  return (
    <>
      <p class="found">Of {count(map.spans)} spans in {duration(Math.round(map.seconds * 1e9))}.</p>
      <Picture map={map} />
      <div class="scrolls" role="region" aria-label="Figures" tabIndex={0}>
        <table class="ways">
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col">does</th>
              <th scope="col">Topic</th>
              <th scope="col" class="number">Messages</th>
              <th scope="col" class="number">Rate</th>
              <th scope="col" class="number">Errors</th>
              <th scope="col" class="number">Duration p50</th>
              <th scope="col" class="number">p99</th>
              <th scope="col" class="number">In queue p50</th>
              <th scope="col" class="number">p99</th>
            </tr>
          </thead>
          <tbody>
            {map.ways.map((way) => (
              <tr key={keyOf(way)} class={way.errors ? "failed" : ""}>
                <th scope="row"><a href={toList({ service: way.service })}>{way.service}</a></th>
                <td>{way.direction}</td>
                <td><a href={toList({ topic: way.topic })}>{way.topic}</a></td>
                <td class="number">{count(way.count)}</td>
                <td class="number">{rate(way.perSecond)}</td>
                <td class="number">{way.errors > 0 ? <span class="error">{count(way.errors)}</span> : "0"}</td>
                <Time ns={way.tookP50Ns} />
                <Time ns={way.tookP99Ns} />
                <Time ns={way.queuedP50Ns} />
                <Time ns={way.queuedP99Ns} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

const keyOf = (way: Way) => `${way.service} ${way.direction} ${way.topic}`;

const Time = ({ ns }: { ns: number | null }) => <td class="number">{ns === null ? "" : duration(ns)}</td>;

interface Node {
  label: string;
  kind: "service" | "topic";
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Edge {
  way: Way;
  points: { x: number; y: number }[];
  x: number;
  y: number;
}

/** Where everything stands. dagre finds that out from who sends to whom. */
function layout(map: ServiceMap) {
  map.services.forEach(colour);
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 34, ranksep: 40, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  const width = (label: string) => Math.min(260, 34 + 8.2 * label.length);
  for (const label of map.services) {
    graph.setNode(`service ${label}`, { label, kind: "service", width: width(label), height: 42 });
  }
  for (const label of map.topics) {
    graph.setNode(`topic ${label}`, { label, kind: "topic", width: width(label), height: 42 });
  }
  for (const way of map.ways) {
    const ends: [string, string] = [`service ${way.service}`, `topic ${way.topic}`];
    const [from, to] = way.direction === "sends" ? ends : [ends[1], ends[0]];
    graph.setEdge(from, to, { way, width: 150, height: 34, labelpos: "c" }, way.direction);
  }
  dagre.layout(graph);
  const { width: wide = 0, height: high = 0 } = graph.graph() as { width?: number; height?: number };
  return {
    wide,
    high,
    nodes: graph.nodes().map((id: string) => graph.node(id) as unknown as Node),
    edges: graph.edges().map((id: unknown) => graph.edge(id as never) as unknown as Edge),
  };
}

function Picture({ map }: { map: ServiceMap }) {
  const { wide, high, nodes, edges } = useMemo(() => layout(map), [map]);
  return (
    <div class="scrolls picture" role="region" aria-label="Picture" tabIndex={0}>
      <svg width={wide} height={high} viewBox={`0 0 ${wide} ${high}`} role="group" aria-label="Services and topics. The table below has the figures.">
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
            <path d="M0 0 8 4 0 8z" />
          </marker>
        </defs>
        <g aria-hidden="true">
          {edges.map(({ way, points }) => (
            <path
              key={keyOf(way)}
              class={`edge${way.errors ? " failed" : ""}`}
              d={`M${points.map((point) => `${point.x} ${point.y}`).join("L")}`}
              marker-end="url(#arrow)"
            />
          ))}
          {edges.map(({ way, x, y }) => (
            <g key={keyOf(way)} class="figures">
              <text x={x} y={y - 6}>{rate(way.perSecond)}, p99 {duration(way.tookP99Ns ?? 0)}</text>
              {way.queuedP99Ns !== null && <text x={x} y={y + 14}>in queue {duration(way.queuedP99Ns)}</text>}
            </g>
          ))}
        </g>
        {nodes.map(({ label, kind, x, y, width, height }) => (
          <a key={`${kind} ${label}`} href={toList({ [kind]: label })} aria-label={`${kind} ${label}`}>
            <rect
              class={kind === "service" ? `node colour-${colour(label)}` : "node topic"}
              x={x - width / 2}
              y={y - height / 2}
              width={width}
              height={height}
              rx={kind === "service" ? 6 : 21}
            />
            <text class="label" x={x} y={y + 5}>{label.length > 29 ? `${label.slice(0, 28)}…` : label}</text>
          </a>
        ))}
      </svg>
    </div>
  );
}
