// Something that others want to hear of.

export function createSignal() {
    const listeners = new Set();
    return {
        // Returns what ends it.
        on(listener) {
            listeners.add(listener);
            return () => listeners.delete(listener);
        },
        send(value) {
            for (const listener of [...listeners]) listener(value);
        },
    };
}
