// What the page does in the browser beside Gradio: it keeps the chosen files, records, and sends files when they are
// wanted. Nothing here calls any other address than the one the page came from.
(() => {
  "use strict";

  const LANGUAGE = "overtone-language";
  const AT_ONCE = 3;

  const chosen = []; // what is in the list: files and recordings
  let run = { number: 0, after: 0, ticket: "", files: [], next: 0, wanted: 0, sending: new Map() };
  let recording = null;

  const size = (bytes) =>
    bytes >= 1048576 ? `${(bytes / 1048576).toFixed(1)} MiB` : `${Math.max(1, Math.round(bytes / 1024))} KiB`;

  // The list of what was chosen.

  const add = (files) => {
    const drop = document.querySelector(".ot-drop[data-most]");
    const most = drop ? Number(drop.dataset.most) : 1;
    chosen.push(...files);
    const over = chosen.length > most;
    chosen.length = Math.min(chosen.length, most);
    show(over && drop ? drop.dataset.many : "");
  };

  const show = (said = "") => {
    const list = document.querySelector(".ot-chosen");
    if (!list) return;
    const items = chosen.map((file, at) => {
      const item = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = file.name;
      name.className = "ot-name";
      const bytes = document.createElement("small");
      bytes.textContent = size(file.size);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.dataset.remove = at;
      remove.setAttribute("aria-label", list.dataset.remove.replace("%s", file.name));
      item.append(name, bytes, remove);
      return item;
    });
    if (said) {
      const note = document.createElement("li");
      note.className = "ot-faint";
      note.setAttribute("role", "status");
      note.textContent = said;
      items.push(note);
    }
    list.replaceChildren(...items);
  };

  // The microphone.

  const word = (text) => (document.getElementById("ot-record-word").textContent = text);

  const record = async (button) => {
    const words = button.closest(".ot-recorder").dataset;
    if (recording) return recording.stop();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      document.getElementById("ot-record-hint").textContent = words.none;
      return;
    }
    const pieces = [];
    const began = Date.now();
    const clock = document.getElementById("ot-clock");
    const ticking = setInterval(() => {
      const seconds = Math.floor((Date.now() - began) / 1000);
      clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }, 200);
    recording = new MediaRecorder(stream);
    recording.ondataavailable = (event) => pieces.push(event.data);
    recording.onstop = () => {
      clearInterval(ticking);
      stream.getTracks().forEach((track) => track.stop());
      const type = recording.mimeType;
      recording = null;
      button.setAttribute("aria-pressed", "false");
      word(words.start);
      const time = new Date().toLocaleTimeString("sv").replaceAll(":", "-");
      add([new File(pieces, `${words.name} ${time}.${type.includes("mp4") ? "m4a" : "webm"}`, { type })]);
    };
    recording.start(1000);
    button.setAttribute("aria-pressed", "true");
    word(words.end);
  };

  // Sending.

  const bar = (at) => document.getElementById(`ot-sent-${at}`);

  const send = (of, at) => {
    const request = new XMLHttpRequest();
    of.sending.set(at, { request, share: 0 });
    const name = encodeURIComponent(of.files[at].name);
    request.open("POST", `page/${of.ticket}/${of.number}/${at}?name=${name}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable || !of.sending.has(at)) return;
      of.sending.get(at).share = event.loaded / event.total;
      if (bar(at)) bar(at).value = event.loaded / event.total;
    };
    request.onloadend = () => {
      of.sending.delete(at);
      if (of === run) go();
    };
    request.send(of.files[at]);
  };

  const go = () => {
    while (run.sending.size < AT_ONCE && run.next < Math.min(run.wanted, run.files.length)) send(run, run.next++);
  };

  const stop = () => run.sending.forEach(({ request }) => request.abort());

  const remembered = () => {
    try {
      return localStorage.getItem(LANGUAGE) || "";
    } catch {
      return ""; // a browser that is told to keep nothing
    }
  };

  // Called by the page.

  window.overtone = {
    // What the service has to know of this browser.
    facts: () =>
      JSON.stringify({
        language: remembered(),
        dark: document.body.classList.contains("dark"),
        touched: matchMedia("(pointer: coarse)").matches,
        files: chosen.map((file) => file.name),
      }),

    // What is in the list now is what is sent when it is asked for.
    start: (ticket) => {
      stop();
      const after = run.number || run.after;
      run = { number: 0, after, ticket, files: [...chosen], next: 0, wanted: 0, sending: new Map() };
      return window.overtone.facts();
    },

    // The table of files has changed: send what is wanted.
    told: (element) => {
      const told = element.querySelector(".ot-run");
      if (!told) return;
      const number = Number(told.dataset.run);
      if (number <= run.after) return; // still the table of the run before
      run.number ||= number;
      if (run.number !== number) return;
      run.wanted = Number(told.dataset.wanted);
      run.sending.forEach(({ share }, at) => bar(at) && (bar(at).value = share));
      go();
    },

    stop,

    remember: (language) => {
      try {
        localStorage.setItem(LANGUAGE, language);
      } catch {
        // It holds for this visit.
      }
      document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
      show();
    },

    ready: (language) => {
      document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
      document.documentElement.classList.add("ot-ready");
      show();
    },
  };

  document.addEventListener("change", (event) => {
    if (event.target.id !== "ot-files") return;
    add(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });

  document.addEventListener("click", (event) => {
    const remove = event.target.closest("[data-remove]:is(button)");
    if (remove) {
      chosen.splice(Number(remove.dataset.remove), 1);
      show();
    }
    const button = event.target.closest("#ot-record");
    if (button) record(button);
  });

  // A file that is dropped beside the field would be opened in place of the page.
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      const over = event.target.closest?.(".ot-drop[data-most]");
      document.querySelectorAll(".ot-over").forEach((element) => element.classList.remove("ot-over"));
      if (kind === "dragover" && over) over.classList.add("ot-over");
      if (kind === "drop" && event.dataTransfer.files.length) add(event.dataTransfer.files);
    });
  }
  document.addEventListener("dragleave", (event) => event.target.closest?.(".ot-over")?.classList.remove("ot-over"));
})();
