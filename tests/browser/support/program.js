// Programs that a test starts: each ends with it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

// `find(line)` is asked of each line that it writes until it returns something that is not undefined.
export async function start(command, args, { env = {}, find }) {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const exited = once(child, "exit");
    const said = [];
    const found = new Promise((resolve, reject) => {
        const hear = (line) => {
            said.push(line);
            const answer = find(line);
            if (answer !== undefined) resolve(answer);
        };
        for (const input of [child.stdout, child.stderr]) createInterface({ input }).on("line", hear);
        child.once("spawn", () => hear(""));
        exited.then(([code]) => reject(new Error(`${command} ended with ${code}:\n${said.join("\n")}`)));
    });
    const running = {
        said,
        async stop(signal = "SIGTERM") {
            if (child.exitCode === null && child.signalCode === null) child.kill(signal);
            await exited;
        },
    };
    try {
        return { ...running, found: await found };
    } catch (error) {
        await running.stop();
        throw error;
    }
}

// Runs a program to its end; what it wrote to its output.
export async function run(command, args) {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (part) => (output += part));
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}`);
    return output;
}
