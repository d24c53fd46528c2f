/** The page: in demo mode a feed and statistics, otherwise what this hub is and a way to look at one's own feed. */

import "../style.css";
import { byId } from "./dom.ts";
import { showFeed } from "./feed-view.ts";
import { DemoSession, PastedToken } from "./session.ts";
import { showStatistics } from "./statistics.ts";

const RETRY_AFTER_MS = 5_000;

async function start(): Promise<void> {
  const notice = byId("page-notice");
  let session: DemoSession | null;
  try {
    session = await DemoSession.open();
  } catch {
    notice.textContent = "The hub cannot be reached; trying again every few seconds.";
    window.setTimeout(start, RETRY_AFTER_MS);
    return;
  }
  notice.textContent = "";
  if (session) {
    await showDemo(session);
  } else {
    showForm();
  }
  byId("about").hidden = false;
}

async function showDemo(session: DemoSession): Promise<void> {
  const { transferSystem, institution } = await session.current();
  byId("demo").hidden = false;
  byId("graphiql-link").hidden = false;
  byId("feed-of").textContent = `What ${transferSystem.name} hears about the students that it follows`;
  byId("feed").hidden = false;
  byId("statistics").hidden = false;
  showFeed(session.tokensOf("transferSystem"), `koppelpunt-last-number ${transferSystem.name}`, () => {});
  showStatistics(session.tokensOf("institution"), institution.brin, institution.schoolYear);
}

function showForm(): void {
  const form = byId("token-form");
  const field = byId("token") as HTMLInputElement;
  const notice = byId("token-notice");
  form.before(byId("about"));
  form.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    notice.textContent = "";
    const tokens = new PastedToken(field.value);
    field.value = "";
    form.hidden = true;
    byId("feed-of").textContent = "What the owner of the token hears";
    byId("feed").hidden = false;
    showFeed(tokens, null, (reason) => {
      form.hidden = false;
      byId("feed").hidden = byId("feed-rows").childElementCount === 0;
      notice.textContent = `${reason} Paste another token to go on.`;
      field.focus();
    });
  };
}

void start();
