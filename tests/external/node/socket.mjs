// A browser's WebSocket, as Node.js has it: says what it is told on the command line, prints what it heard as JSON.
const [url, ...lines] = process.argv.slice(2)
const heard = []
const socket = new WebSocket(url, ['chat.v1', 'chat.v2'])
socket.binaryType = 'arraybuffer'
socket.onopen = () => lines.forEach((line) => socket.send(line))
socket.onmessage = (event) => {
  heard.push(typeof event.data === 'string' ? event.data : new TextDecoder().decode(event.data))
  if (heard.length === lines.length) socket.close(4001, 'done')
}
socket.onerror = () => heard.push('error')
socket.onclose = (event) => {
  console.log(JSON.stringify({ heard, code: event.code, reason: event.reason, clean: event.wasClean, protocol: socket.protocol }))
}
