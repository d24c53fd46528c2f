// Runs the server audits of graphql-http against one address, and prints a line of JSON for each.
import process from "node:process";
import { serverAudits } from "graphql-http";

const { GRAPHQL_URL, ACCESS_TOKEN } = process.env;

const fetchFn = (url, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set("authorization", `Bearer ${ACCESS_TOKEN}`);
  return fetch(url, { ...options, headers });
};

for (const audit of serverAudits({ url: GRAPHQL_URL, fetchFn })) {
  const { id, name, status, reason } = await audit.fn();
  console.log(JSON.stringify({ id, name, status, reason }));
}
