/* Follows a purchase by server-sent events (WHATWG HTML, "Server-sent events"), through lost lines and restarts.

   EventSource would put the access token into the address, where logs see it; fetch sends it in a header. */

const PAUSE = 500; // milliseconds before the line is taken up again; doubled while nothing answers
const LONGEST_PAUSE = 2000;

/** Tells every state until there will be none any more. `onlink(false)` says that the line is lost for now. */
export async function follow(path, accessToken, ontold, onlink = () => {}, signal = undefined) {
  let told = "";
  let pause = PAUSE;
  for (;;) {
    try {
      const headers = { Accept: "text/event-stream", "X-Access-Token": accessToken };
      if (told) headers["Last-Event-ID"] = told;
      const answer = await fetch(path, { headers, signal, cache: "no-store", credentials: "omit" });
      if (answer.status === 204) return true;
      if (answer.status === 404 || answer.status === 401) return false;
      if (answer.ok) {
        onlink(true);
        pause = PAUSE;
        for await (const { id, data } of events(answer.body)) {
          told = id;
          ontold(JSON.parse(data));
        }
      }
    } catch (error) {
      if (signal?.aborted) return true;
      if (!(error instanceof TypeError)) throw error; // a line that broke is a TypeError of fetch
    }
    onlink(false);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      if (event.data) yield event;
    }
  }
}
