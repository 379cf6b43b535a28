// Much that changes is shown once, with the next picture that the browser makes.

export function onceAFrame(act) {
    let frame = 0;
    return () => {
        frame ||= requestAnimationFrame(() => {
            frame = 0;
            act();
        });
    };
}
