// Numbers and times as people read them.

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en");

/** 1,234. */
export const count = (value: number) => whole.format(value);

/** 0, 12 µs, 1.65 ms, 3.2 s, 2 min 5 s. */
export function duration(ns: number): string {
  if (ns === 0) return "0";
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${number.format(ns / 1e3)} µs`;
  if (ns < 1e9) return `${number.format(ns / 1e6)} ms`;
  if (ns < 60e9) return `${number.format(ns / 1e9)} s`;
  const seconds = Math.round(ns / 1e9);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** 12/s, or 3/min where that says more. */
export function rate(perSecond: number): string {
  return perSecond >= 0.1 ? `${number.format(perSecond)}/s` : `${number.format(perSecond * 60)}/min`;
}

/** 1 span, 2 spans. */
export const counted = (value: number, one: string) => `${count(value)} ${one}${value === 1 ? "" : "s"}`;

/** The time of a day, with the day if it is another one. */
export function moment(ms: number): string {
  const date = new Date(ms);
  const time = date.toLocaleTimeString("en-GB") + "." + String(ms % 1000).padStart(3, "0");
  return date.toDateString() === new Date().toDateString() ? time : `${date.toISOString().slice(0, 10)} ${time}`;
}

/** A value of an attribute. */
export const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

const colours = new Map<string, number>();

/** One of eight colours, the same for a service wherever it is shown, and another one for each of the first eight. */
export function colour(service: string): number {
  const known = colours.get(service) ?? colours.size % 8;
  colours.set(service, known);
  return known;
}
