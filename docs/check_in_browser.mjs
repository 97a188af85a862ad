// Opens every built page in Chromium: `nox -s docs docs-browser`.
//
//   node check_in_browser.mjs PAGES MODULES [SCREENSHOTS]
//
// PAGES is where the HTML is, MODULES where playwright-core and axe-core are installed. With
// SCREENSHOTS, a directory, it leaves a picture of each page there: light, dark, and 375 px wide.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [root, modules, screenshots] = process.argv.slice(2).map((given) => path.resolve(given));
const load = createRequire(path.join(modules, "node_modules", "_"));
const { chromium } = load("playwright-core");
const axe = fs.readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 375, height: 800 };
const TYPES = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml" };

const problems = new Set();
const at = new WeakMap(); // what each tab is at

function check(tab, good, problem) {
  if (!good) problems.add(`${at.get(tab)}: ${problem}`);
}

// What takes too long is a problem like others, and hides none of them.
async function attempt(tab, look) {
  await look(tab).catch((error) => check(tab, false, error.message.split("\n")[0]));
}

function pagesUnder(directory) {
  return fs
    .readdirSync(directory, { recursive: true })
    .filter((file) => file.endsWith(".html") && !file.startsWith("_"))
    .map((file) => file.replaceAll(path.sep, "/"))
    .sort();
}

function serve(directory) {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    fs.readFile(path.join(directory, name), (error, content) => {
      const type = TYPES[path.extname(name)] ?? "application/octet-stream";
      response.writeHead(error ? 404 : 200, { "content-type": type });
      response.end(content);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

// A tab that takes note of errors, and of requests to any host but ours.
async function open(browser, options) {
  const tab = await browser.newPage(options);
  await tab.route("**", (route) => {
    const url = route.request().url();
    const ours = url.startsWith(base) || url.startsWith("data:");
    check(tab, ours, `a request to another host: ${url}`);
    return ours ? route.continue() : route.abort();
  });
  tab.on("console", (message) => check(tab, message.type() !== "error", `console: ${message.text()}`));
  tab.on("pageerror", (error) => check(tab, false, `script: ${error}`));
  tab.on("response", (response) => check(tab, response.ok(), `${response.status()}: ${response.url()}`));
  return tab;
}

async function visit(tab, page, mode) {
  at.set(tab, `${page}, ${mode}`);
  await tab.goto(base + page);
  // Two frames: scrollable.js has seen by then what scrolls.
  await tab.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  if (screenshots) {
    const file = `${page.replace(".html", "").replaceAll("/", "-")}-${mode}.png`;
    await tab.screenshot({ path: path.join(screenshots, file), fullPage: true });
  }
}

async function checkAccessible(tab) {
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of violations) {
    if (!["serious", "critical"].includes(violation.impact)) continue;
    for (const node of violation.nodes) {
      check(tab, false, `${violation.id}: ${node.target.join(" ")}: ${node.failureSummary.replaceAll(/\s+/g, " ")}`);
    }
  }
}

// Nothing sticks out to the right, but for what scrolls by itself.
async function checkFits(tab) {
  const found = await tab.evaluate(() => {
    const scrolls = (element) => /auto|scroll/.test(getComputedStyle(element).overflowX);
    const inside = (element) => element.matches("article") || (!scrolls(element) && inside(element.parentElement));
    return [...document.querySelectorAll("article *")]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .filter((element) => inside(element.parentElement))
      .map((element) => element.outerHTML.slice(0, 100));
  });
  check(tab, !found.length, `too wide: ${found[0]}`);
  const width = await tab.evaluate(() => document.scrollingElement.scrollWidth);
  check(tab, width <= PHONE.width, `${width} px wide`);
}

async function checkSearch(tab) {
  at.set(tab, "search");
  await tab.goto(`${base}index.html`);
  await tab.fill("input[name=q]", "first_error");
  await tab.press("input[name=q]", "Enter");
  const results = tab.locator("#search-results a[href*='reference/first_error.html']");
  await results.first().click({ timeout: 10_000 });
  check(tab.url().startsWith(`${base}reference/first_error.html`), `led to ${tab.url()}`);
}

async function checkDarkMode(tab) {
  at.set(tab, "dark mode");
  await tab.goto(`${base}index.html`);
  const colours = () =>
    tab.evaluate(() => {
      const { color, backgroundColor } = getComputedStyle(document.body);
      return `${color} on ${backgroundColor}`;
    });
  const seen = {};
  for (const _ of "123") {
    await tab.locator(".theme-toggle:visible").first().click();
    seen[await tab.evaluate(() => document.body.dataset.theme)] = await colours();
  }
  check(tab, seen.light && seen.dark && seen.light !== seen.dark, `the toggle gives ${JSON.stringify(seen)}`);
}

// By keyboard alone: the skip link leads to the text; the search and the navigation are reached.
async function checkKeyboard(tab) {
  at.set(tab, `keyboard, ${tab.viewportSize().width} px`);
  await tab.goto(`${base}index.html`);
  const focused = () =>
    tab.evaluate(() => {
      const { href, name, className, outerHTML } = document.activeElement;
      const outlined = getComputedStyle(document.activeElement).outlineStyle !== "none";
      const { left } = document.activeElement.getBoundingClientRect();
      return { href, name, className, outlined, left, html: outerHTML.slice(0, 100) };
    });
  await tab.keyboard.press("Tab");
  check(tab, (await focused()).className.includes("skip"), `first comes ${(await focused()).html}`);
  await tab.keyboard.press("Enter");
  check(tab.url().endsWith("#furo-main-content"), `the skip link leads to ${tab.url()}`);
  await tab.goto(`${base}index.html`);
  let searched = false;
  for (let step = 0; step < 30; step += 1) {
    await tab.keyboard.press("Tab");
    const { href, name, outlined, html } = await focused();
    check(tab, outlined, `the focus is not seen on ${html}`);
    searched ||= name === "q";
    if (href?.includes("/reference/")) {
      await tab.waitForTimeout(500); // the drawer slides in
      check(tab, (await focused()).left >= 0, "the navigation has the focus, and is not seen");
      await tab.keyboard.press("Enter");
      await tab.waitForURL(href);
      check(tab, searched, "the search is not reached");
      return;
    }
  }
  check(tab, false, "30 steps do not reach the reference");
}

const started = Date.now();
const server = await serve(root);
const base = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
const pages = pagesUnder(root);
try {
  const each = async (mode, options, look) => {
    const tab = await open(browser, options);
    for (const page of pages) {
      await attempt(tab, () => visit(tab, page, mode).then(() => look(tab)));
    }
  };
  await Promise.all([
    each("light", { colorScheme: "light", viewport: WIDE }, checkAccessible),
    each("dark", { colorScheme: "dark", viewport: WIDE }, checkAccessible),
    each("375", { viewport: PHONE }, checkFits),
  ]);
  const tab = await open(browser, { viewport: WIDE });
  for (const look of [checkSearch, checkDarkMode, checkKeyboard]) await attempt(tab, look);
  await attempt(await open(browser, { viewport: PHONE }), checkKeyboard);
} finally {
  await browser.close();
  server.close();
}
for (const problem of problems) console.error(problem);
const seconds = ((Date.now() - started) / 1000).toFixed(0);
console.log(`${pages.length} pages, ${problems.size} problems, ${seconds} s`);
process.exitCode = pages.length && !problems.size ? 0 : 1;
