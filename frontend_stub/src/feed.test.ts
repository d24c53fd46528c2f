import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Feed, lastNumberIn, startingPoint, type StatusChange } from "./feed.ts";

function aChange(number: number): StatusChange {
  return {
    number,
    kind: "HIDDEN",
    reference: null,
    status: null,
    previousStatus: null,
    occurredAt: null,
    recordedAt: "2026-04-01T10:00:00Z",
    registration: null,
  };
}

function aPosition(earliestNumber: number, lastNumber: number) {
  return { earliestNumber, lastNumber, at: "2026-04-01T10:00:00Z" };
}

describe("Feed", () => {
  it("counts numbers that follow each other and misses nothing", () => {
    const feed = new Feed(41);
    assert.deepEqual([42, 43, 44].map((number) => feed.hear(aChange(number))), [null, null, null]);
    assert.deepEqual([feed.last, feed.received, feed.missed], [44, 3, 0]);
  });

  it("checks the first number against where it started", () => {
    const feed = new Feed(41);
    assert.deepEqual(feed.hear(aChange(43)), { from: 42, to: 42 });
    assert.equal(feed.missed, 1);
  });

  it("names the numbers of a gap and goes on after it", () => {
    const feed = new Feed(0);
    feed.hear(aChange(1));
    assert.deepEqual(feed.hear(aChange(5)), { from: 2, to: 4 });
    assert.equal(feed.hear(aChange(6)), null);
    assert.deepEqual([feed.last, feed.received, feed.missed], [6, 3, 3]);
  });

  it("ignores a number that it has seen", () => {
    const feed = new Feed(0);
    for (const number of [1, 2, 2, 1, 3]) {
      feed.hear(aChange(number));
    }
    assert.deepEqual([feed.last, feed.received, feed.missed], [3, 3, 0]);
    assert.deepEqual(feed.rows.map((row) => row.number), [3, 2, 1]);
  });

  it("keeps the newest rows only, newest first", () => {
    const feed = new Feed(0, 3);
    for (const number of [1, 2, 3, 4, 5]) {
      feed.hear(aChange(number));
    }
    assert.deepEqual(feed.rows.map((row) => row.number), [5, 4, 3]);
    assert.equal(feed.received, 5);
  });

  it("counts what it gives up on, and never goes back", () => {
    const feed = new Feed(10);
    assert.deepEqual(feed.skipTo(14), { from: 11, to: 14 });
    assert.equal(feed.skipTo(12), null);
    assert.deepEqual([feed.last, feed.missed, feed.received], [14, 4, 0]);
  });
});

describe("startingPoint", () => {
  it("shows a little of what came before", () => {
    assert.equal(startingPoint(aPosition(1, 100), null), 80);
  });

  it("begins at zero where there is less", () => {
    assert.equal(startingPoint(aPosition(1, 7), null), 0);
    assert.equal(startingPoint(aPosition(0, 0), null), 0);
  });

  it("asks for nothing that the hub has thrown away", () => {
    assert.equal(startingPoint(aPosition(95, 100), null), 94);
    assert.equal(startingPoint(aPosition(95, 100), 12), 94);
  });

  it("never starts after what an earlier page saw", () => {
    assert.equal(startingPoint(aPosition(1, 5000), 300), 280);
  });

  it("ignores a remembered number that the feed has not reached", () => {
    assert.equal(startingPoint(aPosition(1, 50), 900), 30);
  });
});

describe("lastNumberIn", () => {
  it("reads how far the feed goes", () => {
    assert.equal(lastNumberIn({ feed: aPosition(1, 77) }), 77);
    assert.equal(lastNumberIn({ feed: aPosition(0, 0) }), 0);
  });

  it("finds nothing where the hub says nothing of a feed", () => {
    for (const payload of [undefined, null, {}, { feed: null }, { feed: {} }, { lastNumber: 7 }]) {
      assert.equal(lastNumberIn(payload), undefined);
    }
  });
});
