/** The nonce of this response, under which the Content-Security-Policy takes style elements. */

/** Django writes a new one into each page; see dashboard/views.py. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ''

declare global {
  interface Window {
    /** Where react-remove-scroll, which dialogs are made with, looks for it. */
    __webpack_nonce__?: string
  }
}
window.__webpack_nonce__ = nonce
