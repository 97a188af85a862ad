// The tests on CPython in WebAssembly: `nox -s pyodide` runs this by node, and it `on_pyodide.py`.
//
//     node tests/on_pyodide.mjs PACKAGES [argument for pytest]...
//
// PACKAGES holds what npm installed (node_modules) and what pip did (site). There are no threads
// in there, so each core gets a process with a share of the tests.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const MOST_SECONDS = 1500; // a test that hangs cannot be interrupted from inside
const file = fileURLToPath(import.meta.url);
const [packages, ...given] = process.argv.slice(2);

async function runShare(share, shares) {
  const { loadPyodide } = await import(
    pathToFileURL(resolve(packages, "node_modules/pyodide/pyodide.mjs"))
  );
  const pyodide = await loadPyodide();
  pyodide.mountNodeFS("/checkout", resolve(file, "../.."));
  pyodide.mountNodeFS("/site", resolve(packages, "site"));
  pyodide.globals.set("call", pyodide.toPy([Number(share), Number(shares), given]));
  process.exitCode = pyodide.runPython(`
import os, sys
sys.pycache_prefix = "/tmp/pycache"  # in memory: nothing is written into the checkout
sys.path[:0] = ["/checkout/src", "/checkout/tests", "/site"]
os.chdir("/checkout")
import on_pyodide
on_pyodide.main(*call)
`);
}

function start(share, shares) {
  return new Promise((done) => {
    const env = { ...process.env, WAITKIT_SHARE: `${share}/${shares}` };
    const command = [file, packages, ...given];
    const child = spawn(process.execPath, command, { env, timeout: MOST_SECONDS * 1000 });
    let output = "";
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding("utf8").on("data", (text) => (output += text));
    }
    child.on("close", (code, signal) => {
      console.log(output, signal ? `share ${share} was ended: ${signal}` : "");
      done(code ?? 1);
    });
  });
}

if (process.env.WAITKIT_SHARE) {
  await runShare(...process.env.WAITKIT_SHARE.split("/"));
} else {
  const shares = given.length ? 1 : Math.min(availableParallelism(), 4);
  const codes = await Promise.all(Array.from({ length: shares }, (_, share) => start(share, shares)));
  process.exitCode = Math.max(...codes);
}
