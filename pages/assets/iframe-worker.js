// A page that was opened from a disk may not start a worker: its script then runs in a hidden frame, which answers the
// same messages. Pages that a server gives keep the browser's workers.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      this.inside = this.frame.contentWindow
      this.inside.postMessage = data => deliver(window, this, data) // what the script says to whoever started it
      const script = this.inside.document.createElement("script")
      script.src = new URL(url, document.baseURI).href
      this.loaded = new Promise(done => (script.onload = done))
      this.inside.document.body.append(script)
    }
    postMessage(data) {
      const copy = this.inside.structuredClone(data)
      this.loaded.then(() => deliver(this.inside, this.inside, copy))
    }
    terminate() {
      this.frame.remove()
    }
  }

  // Later, as messages arrive: whoever sends one is not interrupted by the answer.
  function deliver(realm, target, data) {
    const event = new realm.MessageEvent("message", { data: realm.structuredClone(data) })
    setTimeout(() => {
      target.dispatchEvent(event)
      if (target.onmessage && target !== realm) target.onmessage(event)
    })
  }
}
