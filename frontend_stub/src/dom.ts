/** Makes an element. Text always becomes text, never markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** The element of the page with this id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`The page has no #${id}.`);
  }
  return found;
}

const NUMBER = new Intl.NumberFormat("en-GB");
const TIME = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Amsterdam", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Amsterdam", day: "numeric", month: "short" });
const DAY_AND_TIME = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Europe/Amsterdam",
  dateStyle: "long",
  timeStyle: "short",
});

export function formatNumber(value: number): string {
  return NUMBER.format(value);
}

/** "14:03:21" for today, "2 Apr 14:03:21" for any other day; Dutch time, wherever the reader is. */
export function formatTime(moment: string): string {
  const at = new Date(moment);
  const time = TIME.format(at);
  return DAY.format(at) === DAY.format(new Date()) ? time : `${DAY.format(at)} ${time}`;
}

export function formatDayAndTime(moment: string): string {
  return DAY_AND_TIME.format(new Date(moment));
}

export function formatSchoolYear(schoolYear: number): string {
  return `${schoolYear}/${schoolYear + 1}`;
}
