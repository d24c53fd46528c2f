import { defineConfig, type Plugin } from "vite";

const hub = process.env.KOPPELPUNT_URL ?? "http://127.0.0.1:8000";

/** GraphiQL's style sheet holds 350 kB of fonts as data: addresses, which the content security policy refuses. */
const withoutFonts: Plugin = {
  name: "without-fonts",
  enforce: "pre",
  transform: {
    filter: { id: /graphiql.*\.css$/ },
    handler: (code) => code.replaceAll(/@font-face\s*\{[^}]*\}/g, ""),
  },
};

export default defineConfig({
  plugins: [withoutFonts],
  build: {
    // The hub's content security policy allows files of its own only: no data: addresses, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500, // GraphiQL, which only its own page loads
    rolldownOptions: {
      input: ["index.html", "graphiql.html"],
      checks: { moduleLevelDirective: false }, // "use client", which means something to servers only
    },
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
