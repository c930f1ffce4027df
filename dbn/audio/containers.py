"""What a file's own bytes say of its length where libsndfile says nothing: Ogg pages, the counts in an MP3.

libsndfile reads the first of several recordings that follow one another in one file, and takes its end for the file's.
"""
import os

_LONGEST_PAGE = 27 + 255 + 255 * 255
_BEGINS, _ENDS = 2, 4  # flags of an Ogg page: the first and the last one of a stream

_XING_WITHIN = 64  # bytes from the first frame's start on, if an MP3 file's header has counts at all
_TAG_BYTES = 4096  # behind what was counted, that may be a tag
_FRAMES_IN = 8192, 4  # bytes in which so many frames begin, where there is audio


def ogg_is_complete(path):
    """Whether an Ogg file ends with a whole page marked as the stream's last one; libsndfile does not mind if not."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 2 * _LONGEST_PAGE))
        tail = file.read()
    start = tail.rfind(b"OggS")
    header = tail[start:start + 27]
    if start < 0 or len(header) < 27:
        return False
    ends_stream, n_segments = header[5] & _ENDS, header[26]
    segments = tail[start + 27:start + 27 + n_segments]
    page_length = 27 + n_segments + sum(segments)
    return bool(ends_stream) and len(segments) == n_segments and start + page_length <= len(tail)


def ogg_is_chained(path):
    """Whether in an Ogg file a stream begins after another has: streams side by side all begin before any goes on."""
    with open(path, "rb") as file:
        goes_on = False
        while len(header := file.read(27)) == 27 and header[:4] == b"OggS":
            begins = bool(header[5] & _BEGINS)
            if begins and goes_on:
                return True
            goes_on = not begins
            file.seek(sum(file.read(header[26])), os.SEEK_CUR)
    return False


def mp3_goes_on(path):
    """Whether an MP3 file has audio behind the bytes that its header (Xing, Info) counts."""
    with open(path, "rb") as file:
        start = _id3_length(file.read(10))
        file.seek(start)
        head = file.read(_XING_WITHIN)
        found = max(head.find(b"Xing"), head.find(b"Info"))
        flags = int.from_bytes(head[found + 4:found + 8], "big")
        if found < 0 or not flags & 2:  # the count of bytes
            return False
        at = found + (12 if flags & 1 else 8)  # behind the count of frames
        end = start + int.from_bytes(head[at:at + 4], "big")
        if os.path.getsize(path) - end < max(_TAG_BYTES, (end - start) // 100):
            return False
        file.seek(end)
        n_bytes, n_frames = _FRAMES_IN
        behind = file.read(n_bytes)
    # by version, layer and rate of the first frame, which all of a file share
    begins = [behind[i] == 0xFF and behind[i + 1] & 0xFE == head[1] & 0xFE and behind[i + 2] & 0x0C == head[2] & 0x0C
              for i in range(len(behind) - 2)]
    return sum(begins) >= n_frames


def _id3_length(header):
    """Bytes of the tag at an MP3 file's start, given its first ten."""
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(header[6:10], (21, 14, 7, 0)))
