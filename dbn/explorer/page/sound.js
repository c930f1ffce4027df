// The two media elements: the clip around a frame, and the player's song. One is heard at a time.

const clip = byId("clip");
const audio = byId("audio");
let clipStop = 0;  // in the clip's own time
let clipSong = -1;

// Where a time of a song lies in its sound, which may hold only parts of the song.
function mediaTime(song, seconds) {
  if (!song.parts) {
    return seconds;
  }
  let before = 0;
  for (const [start, stop] of song.parts) {
    if (seconds <= stop) {
      return before + Math.max(0, seconds - start);
    }
    before += stop - start;
  }
  return before;
}

function playClip(point) {
  const song = data.songs[points.song[point]];
  audio.pause();
  if (clipSong !== points.song[point]) {
    clipSong = points.song[point];
    clip.src = song.sound;
  }
  const from = Math.max(0, points.time[point] - data.clipSeconds / 2);
  const to = Math.min(song.seconds, points.time[point] + data.clipSeconds / 2);
  clip.currentTime = mediaTime(song, from);
  clipStop = mediaTime(song, from) + to - from;
  start(clip);
}

function start(element) {
  byId("trouble").hidden = true;
  element.play().catch((error) => {
    if (error.name !== "AbortError") {  // that is: another sound was chosen before this one began
      complain(element === clip ? data.songs[clipSong] : data.songs[data.players[byId("song").value].song]);
    }
  });
}

function complain(song) {
  const trouble = byId("trouble");
  trouble.textContent = `${song.name} cannot be played: the file is not where it was when this page was made, or this ` +
    "browser does not read its format. Make the page again with --embed to have the sound inside it.";
  trouble.hidden = false;
}

function watchClip() {
  if (clip.currentTime >= clipStop) {
    clip.pause();
  } else if (!clip.paused) {
    requestAnimationFrame(watchClip);
  }
}

clip.addEventListener("playing", watchClip);
clip.addEventListener("timeupdate", watchClip);  // where the page is hidden no frames are drawn
for (const event of ["play", "pause", "ended"]) {
  clip.addEventListener(event, () => { byId("play").textContent = clip.paused ? "Play 2 s" : "Stop"; });
}
audio.addEventListener("play", () => clip.pause());
audio.addEventListener("error", () => complain(data.songs[data.players[byId("song").value].song]));
