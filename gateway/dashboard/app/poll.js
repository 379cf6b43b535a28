// Asks again and again: one question at a time, slower while nobody looks.

const HIDDEN_MS = 60_000;

// `ask` is awaited; what it throws goes to `failed`. Returns `{ now, stop }`: `now` asks at once.
export function poll(ask, everyMs, failed = () => {}) {
    let timer = null;
    let isStopped = false;
    let isAsking = false;
    let isDue = false;

    async function turn() {
        clearTimeout(timer);
        if (isAsking) {
            isDue = true;
            return;
        }
        isAsking = true;
        isDue = false;
        try {
            await ask();
        } catch (problem) {
            if (!isStopped) failed(problem);
        }
        isAsking = false;
        if (isStopped) return;
        const wait = typeof everyMs === "function" ? everyMs() : everyMs;
        timer = setTimeout(turn, isDue ? 0 : document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
    }

    const shown = () => document.hidden || turn();
    document.addEventListener("visibilitychange", shown);
    turn();
    return {
        now: turn,
        stop() {
            isStopped = true;
            clearTimeout(timer);
            document.removeEventListener("visibilitychange", shown);
        },
    };
}
