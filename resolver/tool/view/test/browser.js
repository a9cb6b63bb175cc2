// The page in a real browser: `COMMAND=… PAGE=dist SPANS=file CHROMIUM=… node test/browser.js`.
//
// Run by resolver/tool/tests/view, which says what is missing where it cannot run.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFile, copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { COMMAND, PAGE, SPANS, CHROMIUM, PICTURES } = process.env;
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let folder, file, command, address, browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "view-"));
  file = join(folder, "spans.jsonl");
  await copyFile(SPANS, file);
  command = spawn(COMMAND, ["view", file, "--web", "127.0.0.1:0", "--page", PAGE], { stdio: ["ignore", "pipe", "inherit"] });
  const said = await new Promise((resolve) => command.stdout.once("data", (data) => resolve(String(data))));
  address = said.match(/http:\S+/)[0];
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  command?.kill();
  await rm(folder, { recursive: true });
});

/** A page that fails its test if it asks another server for anything, breaks the policy, or throws. */
async function open(scheme = "light") {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 1200, height: 720 } });
  const page = await context.newPage();
  page.wrong = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith("data:")) page.wrong.push(request.url());
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.wrong.push(message.text());
  });
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  await page.goto(address);
  await page.waitForSelector("table.list");
  return page;
}

async function close(page) {
  assert.deepEqual(page.wrong, []);
  await page.context().close();
}

const rows = (page) => page.locator("table.list tbody tr");
const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  return element?.getAttribute("aria-label") ?? element?.textContent ?? "";
});

/** Presses `key` until what has the focus says `words`. */
async function press(page, key, words) {
  for (let times = 0; times < 40; times += 1) {
    await page.keyboard.press(key);
    if ((await focused(page)).includes(words)) return;
  }
  assert.fail(`${key} does not lead to ${words}`);
}

async function accessible(page, view) {
  // Evaluated by the debugger: the page's policy lets nothing be loaded into it.
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate("axe.run()");
  assert.ok(passes.length > 10, `axe looked at nothing in ${view}`);
  const said = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
  assert.deepEqual(said, [], view);
}

async function picture(page, name) {
  if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

for (const scheme of ["light", "dark"]) {
  test(`axe finds nothing wrong in the list, the waterfall and the map, ${scheme}`, async () => {
    const page = await open(scheme);
    await accessible(page, "list");
    await picture(page, `list-${scheme}`);
    await rows(page).last().getByRole("link").click();
    await page.getByRole("button", { name: "notifications" }).click();
    await page.waitForSelector("dl");
    await accessible(page, "waterfall");
    await picture(page, `waterfall-${scheme}`);
    await page.getByRole("link", { name: "Map" }).click();
    await page.waitForSelector("svg");
    await accessible(page, "map");
    await picture(page, `map-${scheme}`);
    await page.getByRole("link", { name: "Traces" }).click();
    await page.getByRole("searchbox").fill("nothing has this");
    await page.getByText("0 of 3 traces").waitFor();
    await accessible(page, "an empty list");
    await close(page);
  });
}

test("errors come first, and the search finds by value, by service and by error", async () => {
  const page = await open();
  assert.match(await rows(page).nth(0).innerText(), /Message timed out/);
  assert.match(await rows(page).nth(1).innerText(), /the card was declined/);
  assert.doesNotMatch(await rows(page).nth(2).innerText(), /✕|Declined|timed out/);
  await page.getByRole("searchbox").fill("messaging.kafka.offset=6");
  await page.getByText("1 of 3 traces, 0 with errors.").waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByLabel("Errors only").check();
  await page.getByText("2 of 3 traces, 2 with errors.").waitFor();
  await page.getByLabel("Errors only").uncheck();
  await page.getByLabel("Service").selectOption("shipping");
  await page.getByText("1 of 3 traces, 0 with errors.").waitFor();
  // What is looked for stands in the address.
  assert.match(page.url(), /#\/\?service=shipping$/);
  await page.reload();
  await page.getByText("1 of 3 traces, 0 with errors.").waitFor();
  await close(page);
});

test("a choice that is made while a search is typed stays", async () => {
  const page = await open();
  await page.getByRole("searchbox").pressSequentially("orders");
  await page.getByLabel("Errors only").check();
  await page.waitForTimeout(600);
  assert.match(page.url(), /#\/\?text=orders&errors=1$/);
  await page.getByText("2 of 3 traces, 2 with errors.").waitFor();
  assert.equal(await page.getByLabel("Errors only").isChecked(), true);
  await close(page);
});

test("what is typed as soon as the list is there is searched for, and so is every letter that follows", async () => {
  const page = await open();
  for (let times = 0; times < 20; times += 1) {
    await page.getByRole("link", { name: "Map" }).click();
    // In one turn of the page: the list is drawn, and a letter is typed before the browser has painted it.
    const shown = await page.evaluate(async () => {
      const drawn = new Promise((resolve) => {
        new MutationObserver((_, self) => {
          const box = document.querySelector("input[type=search]");
          if (!box) return;
          self.disconnect();
          box.value = "nothing";
          box.dispatchEvent(new InputEvent("input", { bubbles: true }));
          resolve(box);
        }).observe(document.body, { childList: true, subtree: true });
      });
      location.hash = "#/";
      const box = await drawn;
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 50)));
      return box.value;
    });
    assert.equal(shown, "nothing");
  }
  await page.getByText("0 of 3 traces").waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByRole("searchbox").pressSequentially("messaging.kafka.offset=6", { delay: 97 });
  await page.getByText("1 of 3 traces, 0 with errors.").waitFor();
  assert.match(page.url(), /#\/\?text=messaging.kafka.offset%3D6$/);
  await close(page);
});

test("the waterfall shows durations, times in queue, errors, attributes and links", async () => {
  const page = await open();
  await rows(page).last().getByRole("link").click();
  const span = page.locator("table.waterfall tr", { hasText: "shipping" });
  assert.match(await span.innerText(), /process payments[\s\S]*25.7 ms[\s\S]*1.78 ms[\s\S]*16.5 ms/);
  const [bar, lane] = await Promise.all([span.locator(".bar").boundingBox(), span.locator(".lane").boundingBox()]);
  assert.ok(bar.x > lane.x + lane.width * 0.9 && bar.x + bar.width <= lane.x + lane.width + 3, "it lies at the end");
  await page.getByRole("button", { name: "notifications" }).click();
  assert.match(await page.locator(".facts").innerText(), /messaging.kafka.offset\s+6[\s\S]*service.version\s+2.1.0/);
  await page.locator(".facts").getByRole("link", { name: "orders: send orders" }).click();
  await page.locator("button[aria-expanded=true]", { hasText: "send orders" }).waitFor();
  await close(page);
});

test("everything can be done by the keyboard", async () => {
  const page = await open();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "Traces");
  await page.keyboard.press("Tab");
  await page.keyboard.type("declined");
  await page.getByText("1 of 3 traces, 1 with errors.").waitFor();
  await press(page, "Tab", "orders: send orders");
  await page.keyboard.press("Enter");
  await page.waitForSelector("table.waterfall");
  assert.equal(await focused(page), "orders: send orders", "the heading of the other view");
  await press(page, "Tab", "level 1, orders send orders");
  await page.keyboard.press("ArrowDown");
  assert.match(await focused(page), /level 2, payments process orders/);
  await page.keyboard.press("End");
  assert.match(await focused(page), /level 3, payments authorize/);
  await page.keyboard.press("Enter");
  await page.locator(".facts").getByText("error.type").waitFor();
  await page.keyboard.press("Enter");
  assert.equal(await page.locator(".facts").count(), 0);
  await press(page, "Shift+Tab", "Map");
  await page.keyboard.press("Enter");
  await page.waitForSelector("svg");
  await press(page, "Tab", "topic payments");
  await page.keyboard.press("Enter");
  await page.getByText("2 of 3 traces, 1 with errors.").waitFor();
  await close(page);
});

test("the map says rates, latencies and times in queue, and leads to the traces", async () => {
  const page = await open();
  await page.getByRole("link", { name: "Map" }).click();
  const row = page.locator("table.ways tr", { hasText: "shipping" });
  assert.match(await row.innerText(), /shipping\s+processes\s+payments\s+1\s+1.99\/min\s+0\s+1.78 ms\s+1.78 ms\s+16.5 ms\s+16.5 ms/);
  assert.equal(await page.locator("svg a").count(), 6, "four services and two topics");
  await page.locator("svg a", { hasText: "shipping" }).click();
  await page.getByText("1 of 3 traces, 0 with errors.").waitFor();
  await close(page);
});

test("what comes is shown at once, what it says is never markup, and a pause holds it", async () => {
  const page = await open();
  const line = (id, name) => {
    const span = { traceId: id.repeat(32), spanId: id.repeat(16), name, startTimeUnixNano: "1900000000000000000" };
    return `${JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] })}\n`;
  };
  await appendFile(file, line("a", "<img src=x onerror=alert(1)>") + "nonsense\n");
  await page.getByRole("link", { name: "unknown_service: <img src=x onerror=alert(1)>" }).waitFor();
  await page.getByText("Not shown: 1 line or request was no OTLP").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("Paused").waitFor();
  await appendFile(file, line("b", "later"));
  await page.waitForTimeout(1500);
  assert.equal(await page.getByText("later").count(), 0);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("later").waitFor();
  await close(page);
});

test("a command that has ended is told, and what was shown stays", async () => {
  const page = await open();
  command.kill();
  await page.getByText("No answer from the command: trying again").waitFor({ timeout: 60_000 });
  assert.ok((await rows(page).count()) >= 3);
  // That nobody answers is what the browser complains of here.
  await page.context().close();
});
