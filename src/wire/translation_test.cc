// SPDX-License-Identifier: Apache-2.0
// Golden vectors, by the providers' documented bodies and events, of a chat carried over and back.
#include "wire/translation.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace gatehouse::wire {
namespace {

namespace json = boost::json;
using enum TranslatedTo;

std::string with(std::string_view more,
                 std::string_view messages = R"([{"role":"user","content":"Hi"}])") {
  return R"({"model":"fast","messages":)" + std::string(messages) + std::string(more) + "}";
}

json::value body_at(TranslatedTo to, std::string_view chat) {
  const auto translated = translated_request(to, chat, "m-1", 4096);
  EXPECT_TRUE(translated) << translated.error().message();
  return translated ? json::parse(translated->body) : json::value();
}

std::string refusal_of(TranslatedTo to, std::string_view chat) {
  const auto translated = translated_request(to, chat, "m-1", 4096);
  EXPECT_FALSE(translated) << chat;
  return translated ? "" : translated.error().message();
}

constexpr std::string_view kConversation = R"([
  {"role":"developer","content":"Be brief."},
  {"role":"user","content":[
    {"type":"text","text":"What is this?"},
    {"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},
    {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,cGRm"}}]},
  {"role":"assistant","content":null,"tool_calls":[
    {"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\":\"here\"}"}},
    {"id":"c2","type":"function","function":{"name":"look","arguments":""}}]},
  {"role":"tool","tool_call_id":"c1","content":"a cat"},
  {"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"a dog"}]},
  {"role":"user","content":"And?"}])";

constexpr std::string_view kEverything = R"(,
  "max_completion_tokens":100,"temperature":0.5,"top_p":0.9,"stop":["END"],"stream":true,
  "stream_options":{"include_usage":true},
  "tools":[{"type":"function","function":{"name":"look","description":"Looks.",
    "parameters":{"type":"object","properties":{"at":{"type":"string"}}},"strict":true}}],
  "tool_choice":"required","reasoning_effort":"low",
  "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}})";

TEST(Translation, OfAConversationToAnthropic) {
  const json::value expected = json::parse(R"({
    "model":"m-1","max_tokens":100,"system":[{"type":"text","text":"Be brief."}],
    "messages":[
      {"role":"user","content":[
        {"type":"text","text":"What is this?"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}},
        {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"cGRm"},
         "title":"a.pdf"}]},
      {"role":"assistant","content":[
        {"type":"tool_use","id":"c1","name":"look","input":{"at":"here"}},
        {"type":"tool_use","id":"c2","name":"look","input":{}}]},
      {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"a cat"}]},
        {"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":"a dog"}]},
        {"type":"text","text":"And?"}]}],
    "tools":[{"name":"look","description":"Looks.","strict":true,
      "input_schema":{"type":"object","properties":{"at":{"type":"string"}}}}],
    "tool_choice":{"type":"any"},"temperature":0.5,"top_p":0.9,"stop_sequences":["END"],
    "thinking":{"type":"adaptive","display":"summarized"},
    "output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},
    "stream":true})");
  const std::string chat = with(kEverything, kConversation);
  EXPECT_EQ(body_at(kAnthropic, chat), expected);
  const auto translated = translated_request(kAnthropic, chat, "m-1", 4096);
  EXPECT_EQ(translated->path, "/v1/messages");
  EXPECT_TRUE(translated->stream && translated->wants_usage);
}

TEST(Translation, OfAConversationToGemini) {
  const json::value expected = json::parse(R"({
    "systemInstruction":{"parts":[{"text":"Be brief."}]},
    "contents":[
      {"role":"user","parts":[{"text":"What is this?"},
        {"inlineData":{"mimeType":"image/png","data":"aGk="}},
        {"inlineData":{"mimeType":"application/pdf","data":"cGRm"}}]},
      {"role":"model","parts":[
        {"functionCall":{"id":"c1","name":"look","args":{"at":"here"}}},
        {"functionCall":{"id":"c2","name":"look","args":{}}}]},
      {"role":"user","parts":[
        {"functionResponse":{"id":"c1","name":"look","response":{"output":"a cat"}}},
        {"functionResponse":{"id":"c2","name":"look","response":{"output":"a dog"}}},
        {"text":"And?"}]}],
    "tools":[{"functionDeclarations":[{"name":"look","description":"Looks.",
      "parametersJsonSchema":{"type":"object","properties":{"at":{"type":"string"}}}}]}],
    "toolConfig":{"functionCallingConfig":{"mode":"ANY"}},
    "generationConfig":{"maxOutputTokens":100,"temperature":0.5,"topP":0.9,"stopSequences":["END"],
      "responseMimeType":"application/json","responseJsonSchema":{"type":"object"},
      "thinkingConfig":{"includeThoughts":true,"thinkingLevel":"LOW"}}})");
  const std::string chat = with(kEverything, kConversation);
  EXPECT_EQ(body_at(kGemini, chat), expected);
  EXPECT_EQ(translated_request(kGemini, chat, "m-1", 4096)->path,
            "/v1beta/models/m-1:streamGenerateContent?alt=sse");
  EXPECT_EQ(translated_request(kGemini, with(""), "m-1", 4096)->path,
            "/v1beta/models/m-1:generateContent");
}

TEST(Translation, TellsAnthropicHowMuchWhereTheCallerDoesNot) {
  EXPECT_EQ(body_at(kAnthropic, with("")).at("max_tokens"), 4096);
}

TEST(Translation, OfWhatSteersTools) {
  const auto choice = [](TranslatedTo to, std::string_view more) {
    const std::string tools =
        R"(,"tools":[{"type":"function","function":{"name":"f"}}])" + std::string(more);
    return body_at(to, with(tools));
  };
  EXPECT_EQ(choice(kAnthropic, R"(,"parallel_tool_calls":false)").at("tool_choice"),
            json::parse(R"({"type":"auto","disable_parallel_tool_use":true})"));
  EXPECT_EQ(choice(kAnthropic, R"(,"tool_choice":"none")").at("tool_choice"),
            json::parse(R"({"type":"none"})"));
  const std::string_view named = R"(,"tool_choice":{"type":"function","function":{"name":"f"}})";
  EXPECT_EQ(choice(kAnthropic, named).at("tool_choice"),
            json::parse(R"({"type":"tool","name":"f"})"));
  EXPECT_EQ(choice(kGemini, named).at("toolConfig").at("functionCallingConfig"),
            json::parse(R"({"mode":"ANY","allowedFunctionNames":["f"]})"));
}

// What was thought and signed goes back to who signed it.
TEST(Translation, OfThoughtsThatComeBack) {
  const json::value anthropic = body_at(kAnthropic, with("", R"([{"role":"user","content":"Hi"},
    {"role":"assistant","content":"Yes","reasoning_content":"Hm","thinking_blocks":[
      {"type":"thinking","thinking":"Hm","signature":"S"},{"type":"redacted_thinking","data":"R"}]},
    {"role":"user","content":"So?"}])"));
  EXPECT_EQ(anthropic.at("messages").at(1).at("content"), json::parse(R"([
    {"type":"thinking","thinking":"Hm","signature":"S"},{"type":"redacted_thinking","data":"R"},
    {"type":"text","text":"Yes"}])"));
  const json::value gemini = body_at(kGemini, with("", R"([{"role":"user","content":"Hi"},
    {"role":"assistant","content":"","tool_calls":[{"id":"c","type":"function",
      "function":{"name":"f","arguments":"{}"},
      "extra_content":{"google":{"thought_signature":"S"}}}]},
    {"role":"tool","tool_call_id":"c","content":"ok"}])"));
  EXPECT_EQ(gemini.at("contents").at(1).at("parts").at(0).at("thoughtSignature"), "S");
}

TEST(Translation, RefusesByNameWhatCannotBeCarriedOver) {
  struct Row {
    std::string_view more;
    std::string_view named;
    bool anthropic;
    bool gemini;
  };
  const Row rows[] = {
      {R"(,"n":2)", "n other than 1", true, true},
      {R"(,"logprobs":true)", "logprobs", true, true},
      {R"(,"top_logprobs":2)", "top_logprobs", true, true},
      {R"(,"logit_bias":{"1":2})", "logit_bias", true, true},
      {R"(,"modalities":["text","audio"])", "modalities", true, true},
      {R"(,"audio":{"voice":"x"})", "audio", true, true},
      {R"(,"service_tier":"flex")", "service_tier", true, true},
      {R"(,"store":true)", "store", true, true},
      {R"(,"metadata":{"a":"b"})", "metadata", true, true},
      {R"(,"prediction":{})", "prediction", true, true},
      {R"(,"web_search_options":{})", "web_search_options", true, true},
      {R"(,"functions":[])", "functions", true, true},
      {R"(,"verbosity":"low")", "verbosity", true, true},
      {R"(,"seed":1)", "seed", true, false},
      {R"(,"presence_penalty":0.5)", "penalty", true, false},
      {R"(,"temperature":1.5)", "temperature", true, false},
      {R"(,"response_format":{"type":"json_object"})", "json_object", true, false},
      {R"(,"user":"u")", "user", false, true},
      {R"(,"parallel_tool_calls":false)", "parallel_tool_calls", false, true},
      {R"(,"reasoning_effort":"xhigh")", "reasoning_effort", false, true},
      {R"(,"tools":[{"type":"custom","custom":{"name":"x"}}])", "custom", true, true},
      {R"(,"no_such_thing":1)", "no_such_thing", true, true},
  };
  for (const Row& row : rows) {
    for (const auto to : {kAnthropic, kGemini}) {
      const auto translated = translated_request(to, with(row.more), "m", 1);
      const bool refused = to == kAnthropic ? row.anthropic : row.gemini;
      EXPECT_EQ(!translated, refused) << row.more;
      if (translated) continue;
      EXPECT_EQ(translated.error(), Error::kUnsupported) << row.more;
      EXPECT_TRUE(translated.error().message().contains(row.named)) << translated.error().message();
    }
  }
}

TEST(Translation, RefusesMessagesThatCannotBeCarriedOver) {
  const auto message = [](std::string_view one) {
    return with("", R"([{"role":"user","content":"Hi"},)" + std::string(one) + "]");
  };
  for (const auto to : {kAnthropic, kGemini}) {
    EXPECT_TRUE(
        refusal_of(to, message(R"({"role":"system","content":"late"})")).contains("system"));
    EXPECT_TRUE(refusal_of(to, message(R"({"role":"user","name":"bob","content":"x"})"))
                    .contains("messages[].name"));
    EXPECT_TRUE(refusal_of(to, message(R"({"role":"tool","tool_call_id":"c9","content":"x"})"))
                    .contains("c9"));
    EXPECT_TRUE(refusal_of(to, message(R"({"role":"user","content":[{"type":"video"}]})"))
                    .contains("video"));
    EXPECT_TRUE(refusal_of(to, message(R"({"role":"user","content":[{"type":"file",
      "file":{"file_id":"f"}}]})"))
                    .contains("file_id"));
    EXPECT_TRUE(refusal_of(to, message(R"({"role":"user","content":[{"type":"image_url",
      "image_url":{"url":"data:image/png;base64,aGk=","detail":"low"}}]})"))
                    .contains("detail"));
    EXPECT_TRUE(refusal_of(to, message(R"({"role":"function","name":"f","content":"x"})"))
                    .contains("function"));
  }
  const std::string audio = message(R"({"role":"user","content":[{"type":"input_audio",
    "input_audio":{"data":"aGk=","format":"wav"}}]})");
  EXPECT_TRUE(refusal_of(kAnthropic, audio).contains("input_audio"));
  EXPECT_EQ(body_at(kGemini, audio).at("contents").at(0).at("parts").at(1).at("inlineData"),
            json::parse(R"({"mimeType":"audio/wav","data":"aGk="})"));
  const std::string linked = message(R"({"role":"user","content":[{"type":"image_url",
    "image_url":{"url":"https://a.example/i.png"}}]})");
  EXPECT_TRUE(refusal_of(kGemini, linked).contains("URL"));
  EXPECT_EQ(body_at(kAnthropic, linked).at("messages").at(0).at("content").at(1).at("source"),
            json::parse(R"({"type":"url","url":"https://a.example/i.png"})"));
}

TEST(Translation, NamesNoOtherPathThanAModels) {
  EXPECT_FALSE(translated_request(kGemini, with(""), "../files", 1));
  EXPECT_FALSE(translated_request(kGemini, with(""), "", 1));
}

// --- back

json::value whole(TranslatedTo from, std::string_view body) {
  AnswerTranslation translation(from, 1'700'000'000, false);
  const auto out = translation.whole(body);
  EXPECT_TRUE(out) << out.error().message();
  return out ? json::parse(*out) : json::value();
}

TEST(TranslationBack, OfAnAnthropicMessage) {
  EXPECT_EQ(whole(kAnthropic, R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1",
    "content":[{"type":"thinking","thinking":"Hm.","signature":"S"},{"type":"text","text":"Yes."},
      {"type":"tool_use","id":"t1","name":"look","input":{"at":"here"}},
      {"type":"tool_use","id":"t2","name":"look","input":{}}],
    "stop_reason":"tool_use","stop_sequence":null,
    "usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":1,
      "output_tokens":7}})"),
            json::parse(R"({"id":"msg_1","object":"chat.completion","created":1700000000,
    "model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Yes.",
      "refusal":null,"reasoning_content":"Hm.",
      "thinking_blocks":[{"type":"thinking","thinking":"Hm.","signature":"S"}],
      "tool_calls":[
        {"id":"t1","type":"function","function":{"name":"look","arguments":"{\"at\":\"here\"}"}},
        {"id":"t2","type":"function","function":{"name":"look","arguments":"{}"}}]},
      "logprobs":null,"finish_reason":"tool_calls"}],
    "usage":{"prompt_tokens":16,"completion_tokens":7,"total_tokens":23,
      "prompt_tokens_details":{"cached_tokens":5,"audio_tokens":0},
      "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}})"));
}

TEST(TranslationBack, OfAGeminiAnswer) {
  EXPECT_EQ(whole(kGemini, R"({"responseId":"r1","modelVersion":"g-1","candidates":[{"index":0,
    "content":{"role":"model","parts":[{"text":"Hm.","thought":true},{"text":"Yes."},
      {"functionCall":{"name":"look","args":{"at":"here"}},"thoughtSignature":"S"}]},
    "finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,
    "candidatesTokenCount":6,"thoughtsTokenCount":3,"totalTokenCount":19}})"),
            json::parse(R"({"id":"r1","object":"chat.completion","created":1700000000,
    "model":"g-1","choices":[{"index":0,"message":{"role":"assistant","content":"Yes.",
      "refusal":null,"reasoning_content":"Hm.","tool_calls":[{"id":"call_r1_0","type":"function",
        "function":{"name":"look","arguments":"{\"at\":\"here\"}"},
        "extra_content":{"google":{"thought_signature":"S"}}}]},
      "logprobs":null,"finish_reason":"tool_calls"}],
    "usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19,
      "prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},
      "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":0}}})"));
}

TEST(TranslationBack, OfAPromptThatWasBlocked) {
  const json::value blocked =
      whole(kGemini, R"({"responseId":"r","promptFeedback":{"blockReason":"SAFETY"}})");
  EXPECT_EQ(blocked.at("choices").at(0).at("finish_reason"), "content_filter");
}

TEST(TranslationBack, RefusesWhatAChatHasNoWordsFor) {
  const auto refused = [](TranslatedTo from, std::string_view body) {
    AnswerTranslation translation(from, 1, false);
    const auto out = translation.whole(body);
    return out ? "carried over" : out.error().message();
  };
  EXPECT_TRUE(refused(kAnthropic, R"({"type":"message","content":[{"type":"server_tool_use",
    "id":"x","name":"web_search","input":{}}],"stop_reason":"end_turn"})")
                  .contains("server_tool_use"));
  EXPECT_TRUE(refused(kAnthropic, R"({"type":"message","content":[],"stop_reason":"pause_turn"})")
                  .contains("pause_turn"));
  EXPECT_TRUE(refused(kGemini, R"({"candidates":[{"content":{"parts":[{"inlineData":{}}]},
    "finishReason":"STOP"}]})")
                  .contains("inlineData"));
  EXPECT_TRUE(refused(kGemini, R"({"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]})")
                  .contains("MALFORMED_FUNCTION_CALL"));
}

constexpr std::string_view kAnthropicStream =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
    "\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"m-1\","
    "\"stop_reason\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
    "\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"Hm.\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
    "\"delta\":{\"type\":\"signature_delta\",\"signature\":\"S\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,"
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"Yes\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,"
    "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"look\",\"input\":{}}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,"
    "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"at\\\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,"
    "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
    "\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

struct Streamed {
  std::string bytes;
  std::string error;
};

// The same however the provider's bytes are split.
Streamed streamed(TranslatedTo from, std::string_view stream, bool wants_usage = true) {
  Streamed first;
  for (const std::size_t piece : {stream.size(), std::size_t{1}, std::size_t{13}}) {
    AnswerTranslation translation(from, 1'700'000'000, wants_usage);
    Streamed out;
    for (std::size_t at = 0; at < stream.size() && out.error.empty(); at += piece) {
      const auto chunks = translation.feed(stream.substr(at, piece));
      if (!chunks) out.error = chunks.error().message();
      if (chunks) out.bytes += *chunks;
    }
    const auto end = translation.finish();
    if (!end) out.error = end.error().message();
    if (end) out.bytes += *end;
    if (piece == stream.size()) first = out;
    EXPECT_EQ(out.bytes, first.bytes);
    EXPECT_EQ(out.error, first.error);
  }
  return first;
}

std::string chunk(std::string_view id, std::string_view model, std::string_view delta,
                  std::string_view reason = "null") {
  return "data: {\"id\":\"" + std::string(id)
         + "\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\""
         + std::string(model) + "\",\"choices\":[{\"index\":0,\"delta\":" + std::string(delta)
         + ",\"logprobs\":null,\"finish_reason\":" + std::string(reason) + "}]}\n\n";
}

TEST(TranslationBack, OfAnAnthropicStream) {
  const auto at = [](std::string_view delta, std::string_view reason = "null") {
    return chunk("msg_1", "m-1", delta, reason);
  };
  const std::string usage =
      "data: {\"id\":\"msg_1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
      "\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":9,"
      "\"total_tokens\":19,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}}\n\n";
  const std::string chunks =
      at(R"({"role":"assistant","reasoning_content":"Hm."})")
      + at(R"({"thinking_blocks":[{"type":"thinking","thinking":"Hm.","signature":"S"}]})")
      + at(R"({"content":"Yes"})")
      + at(R"({"tool_calls":[{"index":0,"id":"t1","type":"function",)"
           R"("function":{"name":"look","arguments":""}}]})")
      + at(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"at\""}}]})")
      + at(R"({"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]})")
      + at("{}", "\"tool_calls\"");
  EXPECT_EQ(streamed(kAnthropic, kAnthropicStream).bytes, chunks + usage + "data: [DONE]\n\n");
  EXPECT_EQ(streamed(kAnthropic, kAnthropicStream, false).bytes, chunks + "data: [DONE]\n\n");
}

TEST(TranslationBack, OfAGeminiStream) {
  const std::string stream =
      "data: {\"responseId\":\"r1\",\"modelVersion\":\"g-1\",\"candidates\":[{\"content\":"
      "{\"role\":\"model\",\"parts\":[{\"text\":\"Yes\"}]}}]}\r\n\r\n"
      "data: {\"responseId\":\"r1\",\"modelVersion\":\"g-1\",\"candidates\":[{\"content\":"
      "{\"parts\":[{\"text\":\"!\"}]},\"finishReason\":\"MAX_TOKENS\"}],\"usageMetadata\":"
      "{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5}}\r\n\r\n";
  EXPECT_EQ(streamed(kGemini, stream, false).bytes,
            chunk("r1", "g-1", R"({"role":"assistant","content":"Yes"})")
                + chunk("r1", "g-1", R"({"content":"!"})") + chunk("r1", "g-1", "{}", "\"length\"")
                + "data: [DONE]\n\n");
}

// Wherever it breaks off, what is given is a beginning of the whole, and never a [DONE].
TEST(TranslationBack, OfAStreamThatBreaksOffForgesNoEnd) {
  const std::string whole = streamed(kAnthropic, kAnthropicStream).bytes;
  const std::size_t stop = kAnthropicStream.rfind("event: message_stop");
  for (std::size_t size = 0; size <= stop; size += 11) {
    AnswerTranslation translation(kAnthropic, 1'700'000'000, true);
    const auto chunks = translation.feed(kAnthropicStream.substr(0, size));
    ASSERT_TRUE(chunks);
    EXPECT_TRUE(whole.starts_with(*chunks));
    EXPECT_FALSE(chunks->contains("[DONE]"));
    EXPECT_EQ(translation.finish().error(), Error::kUpstream);
  }
}

TEST(TranslationBack, TellsTheProvidersOwnErrorInAStream) {
  const std::string stream =
      std::string(kAnthropicStream.substr(0, kAnthropicStream.find("event: message_delta")))
      + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
        "\"message\":\"Overloaded\"}}\n\n";
  const Streamed out = streamed(kAnthropic, stream);
  EXPECT_TRUE(out.error.contains("Overloaded")) << out.error;
  EXPECT_TRUE(out.bytes.contains("\"Yes\""));
  EXPECT_FALSE(out.bytes.contains("[DONE]"));
}

TEST(TranslationBack, OfAnError) {
  EXPECT_EQ(json::parse(translated_error(kAnthropic, 529, R"({"type":"error","error":
    {"type":"overloaded_error","message":"Overloaded"}})")),
            json::parse(R"({"error":{"message":"Overloaded","type":"overloaded_error",
    "param":null,"code":null}})"));
  EXPECT_EQ(json::parse(translated_error(kGemini, 429, R"({"error":{"code":429,"message":"Slow",
    "status":"RESOURCE_EXHAUSTED"}})"))
                .at("error")
                .at("type"),
            "RESOURCE_EXHAUSTED");
  EXPECT_EQ(json::parse(translated_error(kGemini, 502, "<html>")).at("error").at("message"),
            "the provider answered 502");
}

}  // namespace
}  // namespace gatehouse::wire
