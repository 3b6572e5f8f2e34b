// The answer to a new event waits until the page has read the end of its stream of earlier events.
//
// Gradio's server ends that stream when no event is pending, and its page opens another one with the next event, if it
// knows that the last one has ended. The answer to the new event comes on another connection: where it overtakes the
// end of the stream, the page would wait at a stream that has ended, for ever. An event that a stream has told of
// already needs no wait: the server ends no stream while an event is pending, and the page keeps what it was told.
(() => {
    const ask = window.fetch.bind(window);
    const told = new Set(); // of events, by any stream
    let stream = null; // the newest

    class Stream {
        constructor(signal) {
            this.ended = false;
            this.text = ""; // of a message that is not complete
            this.await_news();
            // the page aborts the request in the moment in which it takes the stream for ended
            signal?.addEventListener("abort", () => this.end());
        }

        await_news() {
            this.news = new Promise((wake) => { this.wake = wake; });
        }

        tell() {
            this.wake();
            this.await_news();
        }

        end() {
            this.ended = true;
            this.tell();
        }

        take(text) {
            const messages = (this.text + text).split("\n\n");
            this.text = messages.pop();
            for (const message of messages) {
                for (const [, event] of message.matchAll(/"event_id": ?"([^"]+)"/g)) told.add(event);
            }
            this.tell();
        }

        async read(body) {
            const reader = body.pipeThrough(new TextDecoderStream()).getReader();
            try {
                for (let part = await reader.read(); !part.done; part = await reader.read()) this.take(part.value);
            } catch {
                // aborted, or the connection broke, as the page's own copy says
            }
            setTimeout(() => this.end(), 1000); // no abort: the page takes it for open, whatever it waits for
        }

        async has_ended_or_told_of(event) {
            while (!this.ended && !told.has(event)) await this.news;
        }
    }

    async function open_stream(words) {
        const opened = new Stream(words[0].signal ?? words[1]?.signal);
        stream = opened;
        try {
            const answer = await ask(...words);
            if (!answer.ok) {
                opened.end();
                return answer;
            }
            const [theirs, ours] = answer.body.tee();
            opened.read(ours);
            return new Response(theirs, answer);
        } catch (error) {
            opened.end();
            throw error;
        }
    }

    async function join(words) {
        const answer = await ask(...words);
        const said = await answer.clone().json().catch(() => null);
        if (said?.event_id && stream) await stream.has_ended_or_told_of(said.event_id);
        return answer;
    }

    window.fetch = async (...words) => {
        const { pathname } = new URL(words[0].url ?? words[0], location.href);
        if (pathname.endsWith("/queue/data")) return open_stream(words);
        return pathname.endsWith("/queue/join") ? join(words) : ask(...words);
    };
})();
