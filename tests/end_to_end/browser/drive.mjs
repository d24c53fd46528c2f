/** A browser that does as it is told: a line of JSON in, a line of JSON out, `{"value": …}` or `{"error": "…"}`. */

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import chromium from "@sparticuz/chromium";
import { chromium as launcher } from "playwright-core";

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];
const LOOK_EVERY_MS = 50;

chromium.setGraphicsMode = false;
const browser = await launcher.launch({ executablePath: await chromium.executablePath(), args: ARGUMENTS });
let page;
let problems = [];
let requests = [];

const commands = {
  /** A new visitor, who has nothing stored. */
  async visit({ address }) {
    await page?.context().close();
    problems = [];
    requests = [];
    page = await browser.newPage({ viewport: { width: 1280, height: 850 } });
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(address);
  },
  /** What the expression gives, as soon as that is anything. */
  async until({ expression, seconds }) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const value = await page.evaluate(expression);
      if (value) {
        return value;
      }
      if (Date.now() > end) {
        throw new Error(`Not within ${seconds} s: ${expression}\n${await page.innerText("body")}`);
      }
      await sleep(LOOK_EVERY_MS);
    }
  },
  click: ({ selector }) => page.click(selector),
  fill: ({ selector, text }) => page.fill(selector, text),
  choose: ({ selector, value }) => page.selectOption(selector, value).then(() => null),
  problems: () => problems.splice(0),
  requests: () => requests,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[command](options)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
