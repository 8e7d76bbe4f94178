// Unpacks Chromium, what it loads and a font beside the packages, once: programs that start together find it whole.
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = join(import.meta.dirname, "node_modules");
const half = join(packages, ".unpacking");
const whole = join(packages, ".chromium");
await rm(half, { recursive: true, force: true });
await rm(whole, { recursive: true, force: true });
await mkdir(half, { recursive: true });
process.env.TMPDIR = half; // where the package unpacks to

const { default: binary, inflate } = await import("@sparticuz/chromium");
const executable = await binary.executablePath();
await inflate(fileURLToPath(new URL("../bin/al2023.tar.br", import.meta.resolve("@sparticuz/chromium"))));
await chmod(executable, 0o755); // the packager lets only its owner start it
// What comes with the font names directories of another machine; without the font no text has any size.
await writeFile(
  join(half, "fonts", "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${join(whole, "fonts", "fonts")}</dir><cachedir>${join(whole, "fonts", "cache")}</cachedir></fontconfig>
`,
);
await rename(half, whole);
