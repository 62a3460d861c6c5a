-- Wireshark's dissector for SPORE's datagrams, as docs/protocol.md describes them. docs/wireshark.md says how to use it.

local spore = Proto("spore", "SPORE")

spore.prefs.key = Pref.string("Cluster key", "", "64 hexadecimal digits")
spore.prefs.key_file = Pref.string("Cluster key file", "", "Used if no key is given above")
spore.prefs.port = Pref.uint("UDP port", 4210, "The port that nodes speak over")

-- 32-bit arithmetic: a library until Lua 5.2, operators since 5.3 ------------------------------------------------------

local xor, add, rotate
if bit32 then
    xor, rotate = bit32.bxor, bit32.lrotate
    add = function(a, b) return bit32.band(a + b, 0xffffffff) end
else
    xor, add, rotate = load [[
        return function(a, b) return a ~ b end,
               function(a, b) return (a + b) & 0xffffffff end,
               function(a, n) return (a << n | a >> 32 - n) & 0xffffffff end
    ]]()
end

-- ChaCha20 (RFC 8439, sections 2.1 to 2.4) -----------------------------------------------------------------------------

local QUARTERS = {
    { 1, 5, 9, 13 }, { 2, 6, 10, 14 }, { 3, 7, 11, 15 }, { 4, 8, 12, 16 },
    { 1, 6, 11, 16 }, { 2, 7, 12, 13 }, { 3, 8, 9, 14 }, { 4, 5, 10, 15 },
}

local function word(bytes, at)
    local a, b, c, d = bytes:byte(at, at + 3)
    return a + b * 0x100 + c * 0x10000 + d * 0x1000000
end

-- The 64 bytes of the key stream with this number.
local function block(key, nonce, counter)
    local first = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
    for at = 1, 29, 4 do first[#first + 1] = word(key, at) end
    first[13] = counter
    for at = 1, 9, 4 do first[#first + 1] = word(nonce, at) end
    local x = { table.unpack(first) }
    for _ = 1, 10 do
        for _, quarter in ipairs(QUARTERS) do
            local a, b, c, d = table.unpack(quarter)
            x[a] = add(x[a], x[b]); x[d] = rotate(xor(x[d], x[a]), 16)
            x[c] = add(x[c], x[d]); x[b] = rotate(xor(x[b], x[c]), 12)
            x[a] = add(x[a], x[b]); x[d] = rotate(xor(x[d], x[a]), 8)
            x[c] = add(x[c], x[d]); x[b] = rotate(xor(x[b], x[c]), 7)
        end
    end
    local bytes = {}
    for i = 1, 16 do
        local sum = add(x[i], first[i])
        for _ = 1, 4 do
            bytes[#bytes + 1] = sum % 256
            sum = math.floor(sum / 256)
        end
    end
    return bytes
end

local function chacha20(key, nonce, text)
    local out = {}
    for from = 1, #text, 64 do
        local stream = block(key, nonce, (from - 1) / 64 + 1)
        for i = from, math.min(from + 63, #text) do
            out[i] = string.char(xor(text:byte(i), stream[i - from + 1]))
        end
    end
    return table.concat(out)
end

-- Poly1305 (RFC 8439, section 2.5), in ten limbs of 13 bits, whose products a double holds -----------------------------

local LIMB = 8192

local function limbs(bytes)
    local out, held, bits = {}, 0, 0
    for i = 1, 17 do
        held, bits = held + (bytes[i] or 0) * 2 ^ bits, bits + 8
        while bits >= 13 do
            out[#out + 1], held, bits = held % LIMB, math.floor(held / LIMB), bits - 13
        end
    end
    out[10] = out[10] or held
    return out
end

-- Brings each limb below 8192. What is above 2^130 counts five times, at the bottom.
local function carry(h)
    for _ = 1, 2 do
        local over = 0
        for i = 1, 10 do
            local sum = h[i] + over
            h[i], over = sum % LIMB, math.floor(sum / LIMB)
        end
        h[1] = h[1] + 5 * over
    end
end

local function poly1305(stream, text)
    local r = { table.unpack(stream, 1, 16) }
    for _, i in ipairs { 4, 8, 12, 16 } do r[i] = r[i] % 16 end
    for _, i in ipairs { 5, 9, 13 } do r[i] = r[i] - r[i] % 4 end
    r = limbs(r)
    local h = limbs {}
    for from = 1, #text, 16 do
        local part = { text:byte(from, math.min(from + 15, #text)) }
        part[#part + 1] = 1
        for i, limb in ipairs(limbs(part)) do h[i] = h[i] + limb end
        local product = {}
        for i = 1, 10 do product[i] = 0 end
        for i = 1, 10 do
            for j = 1, 10 do
                local at = i + j - 1
                if at > 10 then
                    product[at - 10] = product[at - 10] + 5 * h[i] * r[j]
                else
                    product[at] = product[at] + h[i] * r[j]
                end
            end
        end
        h = product
        carry(h)
    end
    carry(h)
    -- Modulo 2^130 - 5: what is at least that has a 131st bit when 5 is added.
    local more, over = {}, 5
    for i = 1, 10 do
        local sum = h[i] + over
        more[i], over = sum % LIMB, math.floor(sum / LIMB)
    end
    if over > 0 then h = more end
    local tag, held, bits, limb, over = {}, 0, 0, 1, 0
    for i = 1, 16 do
        while bits < 8 do
            held, bits, limb = held + h[limb] * 2 ^ bits, bits + 13, limb + 1
        end
        local sum = held % 256 + stream[16 + i] + over
        tag[i], over = string.char(math.floor(sum % 256)), math.floor(sum / 256)
        held, bits = math.floor(held / 256), bits - 8
    end
    return table.concat(tag)
end

-- The message (RFC 8439, section 2.8), or nothing, if the tag is not that of this key.
local function open(key, head, sealed, tag)
    local nonce = head:sub(2)
    local function padded(text) return text .. ("\0"):rep(-#text % 16) end
    local function length(text) return string.char(#text % 256, math.floor(#text / 256)) .. ("\0"):rep(6) end
    local text = padded(head) .. padded(sealed) .. length(head) .. length(sealed)
    if poly1305(block(key, nonce, 0), text) ~= tag then return nil end
    return chacha20(key, nonce, sealed)
end

-- Fields -----------------------------------------------------------------------------------------------------------------

local KINDS = {
    "announce", "ping", "ack", "ping-req", "relay-ping", "relay-ack", "indirect-ack", "events", "window",
    "window, asking", "rollout", "want", "piece",
}
local THIRD = { [4] = "target", [5] = "origin", [6] = "origin", [7] = "target" }
local STATUSES = { [0] = "alive", "suspect", "dead", "left" }
local STATES = {
    [0] = "idle", "fetching, 0 quarters", "fetching, 1 quarter", "fetching, 2 quarters", "fetching, 3 quarters", "ready",
    "on trial", "updated", "out", [16] = "failed: not started", [17] = "failed: no network", [18] = "failed: no peer",
    [19] = "failed: refused", [20] = "failed: flash",
}
local ENDS = { [0] = "no", "expired", "halted" }

local f = {
    version = ProtoField.uint8("spore.version", "Version"),
    sender = ProtoField.string("spore.sender", "Sender"),
    epoch = ProtoField.uint24("spore.epoch", "Epoch"),
    counter = ProtoField.uint24("spore.counter", "Counter"),
    sealed = ProtoField.bytes("spore.sealed", "Sealed message"),
    tag = ProtoField.bytes("spore.tag", "Tag"),
    kind = ProtoField.uint8("spore.kind", "Kind", base.DEC, KINDS),
    token = ProtoField.bytes("spore.token", "Token"),
    target = ProtoField.string("spore.target", "Target"),
    origin = ProtoField.string("spore.origin", "Origin"),
    image = ProtoField.uint32("spore.image", "Image", base.HEX),
    piece = ProtoField.uint16("spore.piece", "Piece"),
    left = ProtoField.uint16("spore.left", "Pieces to come"),
    members = ProtoField.uint32("spore.members", "Member digest", base.HEX),
    window = ProtoField.uint32("spore.window", "Window digest", base.HEX),
    clock = ProtoField.uint32("spore.clock", "Clock"),
    rollout = ProtoField.uint32("spore.rollout", "Rollout digest", base.HEX),
    wanted = ProtoField.bytes("spore.wanted", "Pieces wanted"),
    content = ProtoField.bytes("spore.content", "Content"),
    record = ProtoField.string("spore.record", "Record"),
    status = ProtoField.uint8("spore.record.status", "Status", base.DEC, STATUSES),
    id = ProtoField.string("spore.record.id", "Id"),
    incarnation = ProtoField.uint24("spore.record.epoch", "Incarnation: epoch"),
    refutation = ProtoField.uint24("spore.record.refutation", "Incarnation: refutation"),
    published = ProtoField.uint24("spore.record.published", "Published"),
    address = ProtoField.ipv4("spore.record.address", "Address"),
    http_port = ProtoField.uint16("spore.record.http_port", "HTTP port"),
    status_version = ProtoField.uint16("spore.record.status_version", "Status version"),
    update = ProtoField.uint8("spore.record.update", "Update", base.DEC, STATES),
    update_tag = ProtoField.uint16("spore.record.update_tag", "Update: tag", base.HEX),
    hostname = ProtoField.string("spore.record.hostname", "Hostname"),
    service = ProtoField.uint32("spore.record.service", "Service or task", base.HEX),
    event = ProtoField.string("spore.event", "Event"),
    key = ProtoField.string("spore.key", "Key"),
    key_clock = ProtoField.uint32("spore.key.clock", "Clock"),
    publisher = ProtoField.string("spore.key.publisher", "Publisher"),
    key_epoch = ProtoField.uint24("spore.key.epoch", "Epoch"),
    number = ProtoField.uint24("spore.key.number", "Number"),
    retained = ProtoField.bool("spore.event.retained", "Retained"),
    topic = ProtoField.string("spore.event.topic", "Topic"),
    payload = ProtoField.string("spore.event.payload", "Payload"),
    payload_hex = ProtoField.bytes("spore.event.payload_hex", "Payload"),
    ended = ProtoField.uint8("spore.rollout.ended", "Ended", base.DEC, ENDS),
    age = ProtoField.uint16("spore.rollout.age", "Age", base.UNIT_STRING, { " min" }),
    format = ProtoField.uint8("spore.plan.format", "Format"),
    plan_number = ProtoField.uint32("spore.plan.number", "Id: number"),
    random = ProtoField.uint32("spore.plan.random", "Id: random", base.HEX),
    catches_up = ProtoField.bool("spore.plan.catches_up", "Nodes catch up"),
    failures = ProtoField.uint8("spore.plan.failures", "Failures that halt it"),
    gate = ProtoField.uint16("spore.plan.gate", "Gate", base.UNIT_STRING, { " s" }),
    expiry = ProtoField.uint16("spore.plan.expiry", "Expires after", base.UNIT_STRING, { " h" }),
    board = ProtoField.string("spore.plan.board", "Board"),
    sequence = ProtoField.uint32("spore.plan.sequence", "Image"),
    digest = ProtoField.bytes("spore.plan.digest", "Digest"),
    canary = ProtoField.string("spore.plan.canary", "Canary"),
    wave = ProtoField.uint8("spore.plan.wave", "Wave", base.UNIT_STRING, { " %" }),
    signature = ProtoField.bytes("spore.plan.signature", "Signature"),
}
spore.fields = f

local unopened = ProtoExpert.new("spore.unopened", "Sealed with another key, or altered", expert.group.DECRYPTION, expert.severity.WARN)
local keyless = ProtoExpert.new("spore.keyless", "No cluster key is set in the preferences of SPORE", expert.group.DECRYPTION, expert.severity.NOTE)
local malformed = ProtoExpert.new("spore.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
spore.experts = { unopened, keyless, malformed }

-- The message ------------------------------------------------------------------------------------------------------------

-- Whether bytes can be shown as UTF-8 without control characters.
local function is_text(bytes)
    return not bytes:gsub("[\194-\244][\128-\191]+", ""):find("[%c\128-\255]")
end

-- Reads one field after the other, and shows each in a tree.
local Reader = {}
Reader.__index = Reader

function Reader:left() return self.tvb:len() - self.at end

function Reader:take(count)
    if count > self:left() then error({ "cut short" }) end
    local range = self.tvb(self.at, count)
    self.at = self.at + count
    return range
end

function Reader:number(tree, field, count)
    local range = self:take(count)
    tree:add(field, range)
    return range:uint()
end

function Reader:id(tree, field)
    local range = self:take(6)
    local id = tostring(range:bytes()):lower()
    tree:add(field, range, id)
    return id
end

function Reader:bytes(tree, field, count)
    local range = self:take(count)
    tree:add(field, range)
    return range
end

function Reader:text(tree, field, count)
    local text = self:take(count)
    tree:add(field, text, text:raw())
    return text:raw()
end

-- A tree of its own for what `read` reads, which it names.
function Reader:part(tree, field, read)
    local from = self.at
    local part = tree:add(field, self.tvb(from), "")
    local name = read(part)
    part:set_len(self.at - from)
    part:append_text(name)
    return name
end

function Reader:record(tree)
    return self:part(tree, f.record, function(part)
        local status = self:number(part, f.status, 1)
        local id = self:id(part, f.id)
        self:number(part, f.incarnation, 3)
        self:number(part, f.refutation, 3)
        self:number(part, f.published, 3)
        local name = id
        if status == 0 then
            self:bytes(part, f.address, 4)
            self:number(part, f.http_port, 2)
            self:number(part, f.status_version, 2)
            self:number(part, f.update, 1)
            self:number(part, f.update_tag, 2)
            name = self:text(part, f.hostname, self:take(1):uint())
            for _ = 1, self:take(1):uint() do self:number(part, f.service, 4) end
        end
        return name .. ", " .. (STATUSES[status] or "of no known status")
    end)
end

function Reader:key(tree)
    return self:part(tree, f.key, function(part)
        self:number(part, f.key_clock, 4)
        local publisher = self:id(part, f.publisher)
        local epoch = self:number(part, f.key_epoch, 3)
        local number = self:number(part, f.number, 3)
        return ("%d of %s in its boot %d"):format(number, publisher, epoch)
    end)
end

function Reader:event(tree)
    return self:part(tree, f.event, function(part)
        self:key(part)
        self:number(part, f.retained, 1)
        local topic = self:text(part, f.topic, self:take(1):uint())
        local size = self:take(2):uint()
        if size == 0 then return topic end
        local payload = self:take(size)
        if is_text(payload:raw()) then
            part:add(f.payload, payload, payload:raw())
        else
            part:add(f.payload_hex, payload)
        end
        return topic
    end)
end

function Reader:announcement(tree)
    local ended = self:number(tree, f.ended, 1)
    self:number(tree, f.age, 2)
    self:number(tree, f.format, 1)
    local number = self:number(tree, f.plan_number, 4)
    self:number(tree, f.random, 4)
    self:number(tree, f.catches_up, 1)
    self:number(tree, f.failures, 1)
    self:number(tree, f.gate, 2)
    self:number(tree, f.expiry, 2)
    for _ = 1, self:take(1):uint() do
        local board = self:take(16)
        tree:add(f.board, board, board:stringz())
        self:number(tree, f.sequence, 4)
        self:bytes(tree, f.digest, 16)
    end
    for _ = 1, self:take(1):uint() do self:id(tree, f.canary) end
    for _ = 1, self:take(1):uint() do self:number(tree, f.wave, 1) end
    self:bytes(tree, f.signature, 64)
    return ("%d%s"):format(number, ended == 0 and "" or ", " .. (ENDS[ended] or "ended in no known way"))
end

-- Reads as many as there are. How many that is, and the last one's name.
function Reader:all(read, tree)
    local count, name = 0, nil
    while self:left() > 0 do count, name = count + 1, read(self, tree) end
    return count, name
end

-- What comes behind the sender's own record, by the kind of the message. In a few words.
function Reader:rest(kind, tree)
    if kind <= 7 then
        local count = self:all(Reader.record, tree)
        return count == 0 and "" or (", tells of %d"):format(count)
    elseif kind == 8 then
        local count, topic = self:all(Reader.event, tree)
        return count == 1 and ": " .. topic or (": %d"):format(count)
    elseif kind <= 10 then
        self:key(tree)
        return (" of %d"):format(self:all(Reader.key, tree))
    elseif kind == 11 then
        return " " .. self:announcement(tree)
    end
    self:bytes(tree, kind == 12 and f.wanted or f.content, self:left())
    return ""
end

-- A message. What is said of it in one line.
local function message(tvb, tree)
    local reader = setmetatable({ tvb = tvb, at = 0 }, Reader)
    local kind = reader:number(tree, f.kind, 1)
    local line = KINDS[kind]
    if not line then error({ ("there is no kind %d of message"):format(kind) }) end
    if kind >= 2 and kind <= 7 then reader:bytes(tree, f.token, 14) end
    if THIRD[kind] then
        line = ("%s, %s %s"):format(line, THIRD[kind], reader:id(tree, f[THIRD[kind]]))
    end
    if kind >= 12 then
        reader:number(tree, f.image, 4)
        line = ("%s %d"):format(line, reader:number(tree, f.piece, 2))
    end
    if kind == 13 then
        line = ("%s, %d to come"):format(line, reader:number(tree, f.left, 2))
    end
    for _, field in ipairs { f.members, f.window, f.clock, f.rollout } do reader:number(tree, field, 4) end
    local own = reader:record(tree)
    return line .. reader:rest(kind, tree) .. " (" .. own .. ")"
end

-- The datagram -----------------------------------------------------------------------------------------------------------

local key

local function read_key()
    local digits = spore.prefs.key
    if digits == "" and spore.prefs.key_file ~= "" then
        local file = io.open(spore.prefs.key_file)
        digits = file and file:read("*a") or ""
        if file then file:close() end
    end
    -- Alone, or in the text in which keys are handed on.
    digits = digits:match("^%s*(%x+)%s*$") or digits:match("kind: cluster%s+key: (%x+)")
    key = digits and #digits == 64 and digits:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end) or nil
end

function spore.dissector(tvb, pinfo, root)
    if tvb:len() < 29 or tvb(0, 1):uint() ~= 1 then return 0 end
    pinfo.cols.protocol = "SPORE"
    local tree = root:add(spore, tvb())
    local reader = setmetatable({ tvb = tvb, at = 0 }, Reader)
    reader:number(tree, f.version, 1)
    local sender = reader:id(tree, f.sender)
    local epoch = reader:number(tree, f.epoch, 3)
    local counter = reader:number(tree, f.counter, 3)
    local sealed = reader:bytes(tree, f.sealed, tvb:len() - 29)
    local tag = reader:bytes(tree, f.tag, 16)
    tree:append_text((", %s, datagram %d of its boot %d"):format(sender, counter, epoch))
    pinfo.cols.info = ("sealed, %s"):format(sender)
    if not key then
        tree:add_proto_expert_info(keyless)
        return
    end
    local opened = open(key, tvb:raw(0, 13), sealed:len() > 0 and sealed:raw() or "", tag:raw())
    if not opened then
        tree:add_proto_expert_info(unopened)
        return
    end
    local inner = ByteArray.new(opened, true):tvb("Opened message")
    local ok, line = pcall(message, inner, tree)
    if not ok then
        -- What is no table is a mistake of ours.
        local why = type(line) == "table" and line[1] or line
        tree:add_proto_expert_info(malformed, "Malformed: " .. why)
        line = "malformed"
    end
    pinfo.cols.info = line
end

local port
local function listen()
    read_key()
    if port == spore.prefs.port then return end
    local ports = DissectorTable.get("udp.port")
    if port then ports:remove(port, spore) end
    port = spore.prefs.port
    ports:add(port, spore)
end

spore.prefs_changed = listen
function spore.init() listen() end
