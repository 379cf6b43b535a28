// Node-RED without its editor.
module.exports = {
    flowFile: "flows.json",
    uiHost: "127.0.0.1",
    uiPort: 0,
    httpAdminRoot: false,
    httpNodeRoot: false,
    credentialSecret: false,
    functionGlobalContext: { gateway: require("./gateway.js") },
    logging: { console: { level: "info", metrics: false, audit: false } },
};
