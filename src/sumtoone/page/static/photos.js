// A photo that is chosen, dropped or pasted becomes pixels.

// As `sumtoone predict` refuses it; a browser would need four bytes for each.
const MOST_PIXELS = 2 ** 26;

// {picture, rgba, width, height} of an image file, upright as its EXIF orientation says.
// Throws an Error whose message is the key of what to say.
export async function readPhoto(file) {
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new Error("photo.unreadable");
  }
  const { width, height } = picture;
  if (width * height > MOST_PIXELS) throw new Error("photo.large");
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return { picture: canvas, rgba: context.getImageData(0, 0, width, height).data, width, height };
}

// Calls `taken(file)` for every image that is chosen in the input, dropped on the page or pasted into it.
export function takePhotos(input, target, taken) {
  input.addEventListener("change", () => {
    if (input.files.length) taken(input.files[0]);
    // So that the same file can be chosen again.
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData ? event.clipboardData.files : [])].find(({ type }) => type.startsWith("image/"));
    if (file) taken(file);
  });
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    target.classList.add("over");
  });
  document.addEventListener("dragleave", () => target.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    target.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    taken(event.dataTransfer.files[0]);
  });
}
