import { defineConfig } from "vite";

const hub = process.env.KOPPELPUNT_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  build: {
    // The hub's content security policy allows files of its own only: no data: addresses, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  // `npm run dev` shows the page from source, against a hub that runs beside it.
  server: {
    proxy: {
      "/graphql": { target: hub, ws: true },
      "/demo": hub,
      "/oauth": hub,
      "/.well-known": hub,
      "/health": hub,
    },
  },
});
