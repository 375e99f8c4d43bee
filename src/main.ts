#!/usr/bin/env node
/** The only file that runs on import: the command line `mayfly`. */

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 26) {
  console.error(
    `mayfly: this is Node ${process.versions.node}, but Mayfly needs Node 26. Run \`npm ci\` in the checkout, then \`npx mayfly\`: it brings its own.`,
  );
  process.exit(3);
}

// Loaded after the check, because an older Node cannot read what it imports.
const { runCommandLine } = await import('./command-line.ts');
process.exitCode = await runCommandLine(process.argv.slice(2));
