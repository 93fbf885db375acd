// What Vercel's AI SDK makes of the gateway's answers: node ask.mjs URL KEY MODEL PROVIDER, one JSON document out.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createDeepSeek } from "@ai-sdk/deepseek";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { createOllama } from "ollama-ai-provider-v2";

const [url, key, name, provider] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
const MODELS = {
  openai: () => createOpenAI({ baseURL: `${url}/v1`, apiKey: key })(name),
  "openai-chat": () => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(name),
  compatible: () =>
    createOpenAICompatible({ name: "ollamamax", baseURL: `${url}/v1`, apiKey: key, supportsStructuredOutputs: true })(name),
  anthropic: () => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(name),
  deepseek: () => createDeepSeek({ baseURL: `${url}/v1`, apiKey: key })(name),
  ollama: () => createOllama({ baseURL: `${url}/api`, headers })(name),
};

const model = MODELS[provider]();
const prompt = "one two three";
// Without it this provider refers to earlier items by their ids, which only a tenant that has responses kept can use.
const providerOptions = { openai: { store: false } };
const text = await generateText({ model, prompt, maxRetries: 0, providerOptions });

const parts = [];
for await (const part of streamText({ model, prompt, maxRetries: 0, providerOptions }).textStream) parts.push(part);

const asked = [];
const sum = tool({
  description: "Adds.",
  inputSchema: jsonSchema({ type: "object", properties: { a: { type: "integer" } }, required: ["a"] }),
  execute: async ({ a }) => {
    asked.push(a);
    return prompt;
  },
});
await generateText({ model, prompt, maxRetries: 0, providerOptions, tools: { sum }, stopWhen: stepCountIs(2) });

const schema = jsonSchema({
  type: "object",
  properties: { colour: { type: "string" } },
  required: ["colour"],
  additionalProperties: false,
});
const formatted = await generateText({ model, prompt, maxRetries: 0, providerOptions, output: Output.object({ schema }) });

console.log(
  JSON.stringify({
    text: text.text,
    usage: text.usage.outputTokens,
    reason: text.finishReason,
    streamed: parts.join(""),
    asked,
    formatted: formatted.output,
  }),
);
